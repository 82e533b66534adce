/* What can be expected to fail says so in one struct. */
#ifndef GARRISON_ERROR_H
#define GARRISON_ERROR_H

#include <stdbool.h>

/* The codes of a reply. Their order groups them: see code_is_transient(). */
enum code {
	CODE_OK,
	CODE_INVALID_JSON,
	CODE_INVALID_PAYLOAD,
	CODE_UNKNOWN_COMMAND,
	CODE_UNAUTHORIZED,
	CODE_FORBIDDEN,
	CODE_NOT_FOUND,
	CODE_CONFLICT,
	CODE_RATE_LIMITED,
	CODE_TIMEOUT,
	CODE_UNAVAILABLE,
	CODE_INTERNAL,
	CODE_COUNT
};

/* The code's name on the wire ("invalid_json"); static. Any thread. */
const char *code_name(enum code code);
/* The code that has this name, CODE_INTERNAL for an unknown one (a newer peer's). Any thread. */
enum code code_by_name(const char *name);
/* True when the same message may succeed later: rate_limited, timeout, unavailable, internal. Any thread. */
bool code_is_transient(enum code code);
/* What a reply tells the caller in "retryable": transient, except internal. Any thread. */
bool code_is_retryable(enum code code);

/* A store whose connection is gone fails everybody's messages alike: nobody's attempt is spent on it. */
enum store { STORE_NONE, STORE_POSTGRES, STORE_REDIS, STORE_BROKER };
/* As people know it: "PostgreSQL". Not of STORE_NONE. Any thread. */
const char *store_name(enum store store);

struct error {
	enum code code;
	enum store down;  /* the store that could not be reached, when that was the cause */
	char sqlstate[6]; /* PostgreSQL's, else "" */
	int path_len;	  /* so many bytes of text name a field by its path, and ": " follows; else 0 */
	char text[320];
};

/*
 * Fills err (which may be NULL) and returns -1, so that a failing function can end with `return error_set(err, …)`.
 * sqlstate, path_len and down are cleared. Any thread.
 */
int error_set(struct error *err, enum code code, const char *format, ...) __attribute__((format(printf, 3, 4), cold));
/* The same about one field of a message: text becomes "path: what", only what where path is "". Any thread. */
int error_set_field(struct error *err, enum code code, const char *path, const char *what) __attribute__((cold));
/* As error_set, and marks the store as out of reach (code unavailable). */
int error_down(struct error *err, enum store store, const char *format, ...)
	__attribute__((format(printf, 3, 4), cold));

#endif
