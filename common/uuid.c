#include "uuid.h"

#include <string.h>
#include <sys/random.h>

#include "cleanup.h"
#include "percent.h"

struct uuid uuid_random(void)
{
	struct uuid uuid;

	/* Up to 256 bytes are never cut short once the kernel's generator is seeded. */
	if (getrandom(uuid.bytes, sizeof(uuid.bytes), 0) != (ssize_t)sizeof(uuid.bytes))
		BUG("the kernel gives no random bytes");
	uuid.bytes[6] = (unsigned char)((uuid.bytes[6] & 0x0f) | 0x40);
	uuid.bytes[8] = (unsigned char)((uuid.bytes[8] & 0x3f) | 0x80);
	return uuid;
}

/* True before the bytes that a dash precedes. */
static bool dash_before(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

int uuid_parse(const char *text, struct uuid *out)
{
	struct uuid uuid;

	for (size_t i = 0; i < sizeof(uuid.bytes); i++) {
		int high, low;

		if (dash_before(i) && *text++ != '-')
			return -1;
		high = hex_digit(*text);
		if (high < 0)
			return -1;
		low = hex_digit(text[1]);
		if (low < 0)
			return -1;
		uuid.bytes[i] = (unsigned char)(high << 4 | low);
		text += 2;
	}
	if (*text)
		return -1;
	*out = uuid;
	return 0;
}

char *uuid_format(const struct uuid *uuid, char buffer[static UUID_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";
	char *to = buffer;

	for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
		if (dash_before(i))
			*to++ = '-';
		*to++ = digits[uuid->bytes[i] >> 4];
		*to++ = digits[uuid->bytes[i] & 15];
	}
	*to = '\0';
	return buffer;
}

int uuid_compare(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool uuid_is_nil(const struct uuid *uuid)
{
	static const struct uuid nil;

	return !uuid_compare(uuid, &nil);
}
