#include "duration.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"

static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

int duration_parse(const char *text, int64_t *ms)
{
	int64_t value = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *at - '0', &value))
			return -1;
	if (at == text)
		return -1;
	if (!*at && !value) {
		*ms = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(at, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(value, units[i].ms, &value))
			return -1;
		*ms = value;
		return 0;
	}
	return -1;
}

char *duration_format(int64_t ms, char buffer[static DURATION_TEXT_MAX])
{
	size_t i = 0;

	while (ms % units[i].ms)
		i++;
	snprintf(buffer, DURATION_TEXT_MAX, "%lld%s", (long long)(ms / units[i].ms), ms ? units[i].name : "");
	return buffer;
}
