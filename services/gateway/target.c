#include "target.h"

#include <string.h>

#include "percent.h"
#include "utf8.h"

/* Text free of control characters, in scratch; NULL for what is no such text. In a query, + is a space. */
static char *decode(const char *text, size_t len, bool in_query, struct scratch *scratch)
{
	char *copy = scratch_memdup(scratch, text, len);

	if (!percent_decode(text, len, in_query, copy))
		return NULL;
	for (const char *at = copy; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return NULL;
	return utf8_valid(copy, strlen(copy)) ? copy : NULL;
}

static int add_parameter(struct target *target, const char *text, size_t len, struct scratch *scratch)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals ? (size_t)(equals - text) : len;
	struct parameter *parameter = &target->parameters[target->n];

	if (len == 0)
		return 0;
	if (target->n == TARGET_PARAMETERS_MAX)
		return -1;
	parameter->name = decode(text, name_len, true, scratch);
	parameter->value = equals ? decode(equals + 1, len - name_len - 1, true, scratch) : "";
	target->n++;
	return parameter->name && parameter->value ? 0 : -1;
}

int target_parse(const char *text, struct target *out, struct scratch *scratch, struct error *err)
{
	size_t path_len = strcspn(text, "?#");
	struct target target = { 0 };
	const char *at = text + path_len;

	if (*text != '/')
		return error_set(err, CODE_INVALID_PAYLOAD, "the request's target must begin with /");
	target.path = decode(text, path_len, false, scratch);
	if (!target.path)
		return error_set(err, CODE_INVALID_PAYLOAD, "the path is not valid percent-encoded UTF-8");
	while (*at == '?' || *at == '&') {
		size_t len = strcspn(++at, "&#");

		if (add_parameter(&target, at, len, scratch))
			return error_set(err, CODE_INVALID_PAYLOAD,
				"the query is not valid percent-encoded UTF-8, or has more than %d parameters",
				TARGET_PARAMETERS_MAX);
		at += len;
	}
	*out = target;
	return 0;
}

const char *target_parameter(const struct target *target, const char *name, size_t *n)
{
	const char *value = NULL;
	size_t found = 0;

	for (size_t i = 0; i < target->n; i++) {
		if (strcmp(target->parameters[i].name, name) != 0)
			continue;
		if (!found++)
			value = target->parameters[i].value;
	}
	if (n)
		*n = found;
	return value;
}
