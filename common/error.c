#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

static const char *const code_names[CODE_COUNT] = {
	[CODE_OK] = "ok",
	[CODE_INVALID_JSON] = "invalid_json",
	[CODE_INVALID_PAYLOAD] = "invalid_payload",
	[CODE_UNKNOWN_COMMAND] = "unknown_command",
	[CODE_UNAUTHORIZED] = "unauthorized",
	[CODE_FORBIDDEN] = "forbidden",
	[CODE_NOT_FOUND] = "not_found",
	[CODE_CONFLICT] = "conflict",
	[CODE_RATE_LIMITED] = "rate_limited",
	[CODE_TIMEOUT] = "timeout",
	[CODE_UNAVAILABLE] = "unavailable",
	[CODE_INTERNAL] = "internal",
};

const char *code_name(enum code code)
{
	if ((unsigned)code >= CODE_COUNT)
		BUG("no code has the number %d", (int)code);
	return code_names[code];
}

enum code code_by_name(const char *name)
{
	for (size_t i = 0; i < CODE_COUNT; i++)
		if (!strcmp(code_names[i], name))
			return (enum code)i;
	return CODE_INTERNAL;
}

bool code_is_transient(enum code code)
{
	return code >= CODE_RATE_LIMITED && code < CODE_COUNT;
}

bool code_is_retryable(enum code code)
{
	return code_is_transient(code) && code != CODE_INTERNAL;
}

const char *store_name(enum store store)
{
	static const char *const names[] = {
		[STORE_POSTGRES] = "PostgreSQL",
		[STORE_REDIS] = "Redis",
		[STORE_BROKER] = "RabbitMQ",
	};

	if (store == STORE_NONE || (size_t)store >= ARRAY_LEN(names))
		BUG("no store has the number %d", (int)store);
	return names[store];
}

static void fill(struct error *err, enum code code, enum store down, const char *format, va_list args)
{
	err->code = code;
	err->down = down;
	err->sqlstate[0] = '\0';
	err->path_len = 0;
	vsnprintf(err->text, sizeof(err->text), format, args);
}

int error_set(struct error *err, enum code code, const char *format, ...)
{
	va_list args;

	if (!err)
		return -1;
	va_start(args, format);
	fill(err, code, STORE_NONE, format, args);
	va_end(args);
	return -1;
}

int error_set_field(struct error *err, enum code code, const char *path, const char *what)
{
	error_set(err, code, "%s%s%s", path, *path ? ": " : "", what);
	if (err)
		err->path_len = (int)strlen(path);
	return -1;
}

int error_down(struct error *err, enum store store, const char *format, ...)
{
	va_list args;

	if (!err)
		return -1;
	va_start(args, format);
	fill(err, CODE_UNAVAILABLE, store, format, args);
	va_end(args);
	return -1;
}
