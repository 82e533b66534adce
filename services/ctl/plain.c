#include "plain.h"

#include <stdio.h>

#include "utf8.h"

static bool is_control(const unsigned char *at, size_t len)
{
	if (len == 1)
		return (*at < ' ' && *at != '\t' && *at != '\n') || *at == 0x7f;
	return at[0] == 0xc2 && at[1] < 0xa0; /* U+0080 to U+009F */
}

void plain_print(const struct text *text)
{
	const unsigned char *at = (const unsigned char *)text_str(text), *end = at + text->len;

	while (at < end) {
		size_t len = utf8_step((const char *)at, (size_t)(end - at));
		bool plain = len && !is_control(at, len);

		if (!len)
			len = 1;
		if (plain)
			fwrite(at, 1, len, stdout);
		for (size_t i = 0; !plain && i < len; i++)
			printf("\\x%02x", at[i]);
		at += len;
	}
}
