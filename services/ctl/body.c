#include "body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "json.h"
#include "text.h"

#define BODY_MAX ((size_t)64 << 20)

static int read_standard_input(struct text *body, struct error *err)
{
	char part[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, part, sizeof(part))) != 0) {
		if (n < 0 && errno != EINTR)
			return error_set(err, CODE_INVALID_PAYLOAD, "standard input: %s", strerror(errno));
		if (n > 0)
			text_add(body, part, (size_t)n);
		if (body->len > BODY_MAX)
			return error_set(
				err, CODE_INVALID_PAYLOAD, "standard input: more than %zu MiB", BODY_MAX >> 20);
	}
	return 0;
}

const char *body_read(const char *argument, struct scratch *scratch, size_t *len, struct error *err)
{
	CLEANUP(text_release) struct text body = { 0 };
	struct error wrong = { 0 };

	if (strcmp(argument, "-") != 0)
		text_str_add(&body, argument);
	else if (read_standard_input(&body, err))
		return NULL;
	if (!json_parse(text_str(&body), body.len, scratch, &wrong)) {
		error_set(
			err, wrong.code, "%s: %s", strcmp(argument, "-") == 0 ? "standard input" : "JSON", wrong.text);
		return NULL;
	}
	*len = body.len;
	return scratch_memdup(scratch, text_str(&body), body.len);
}
