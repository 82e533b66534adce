/* A growing run of bytes, and JSON written onto its end. */
#ifndef GARRISON_TEXT_H
#define GARRISON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *bytes; /* NUL-terminated once anything was written; NULL before */
	size_t len;
	size_t cap;
};

/* A zeroed struct text is an empty one. release frees; reset keeps the memory. One thread at a time. */
void text_release(struct text *text);
void text_reset(struct text *text);
/* The bytes as a C string, "" when nothing was written; valid until the next write. */
const char *text_str(const struct text *text);
/* Append bytes, a string, a character, printf. Abort when memory is out. */
void text_add(struct text *text, const void *bytes, size_t len);
void text_str_add(struct text *text, const char *string);
void text_char(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for len more bytes without writing them. */
void text_reserve(struct text *text, size_t len);

/*
 * JSON. The comma before a key or an element is added where the last byte calls for one, so callers only say what
 * comes next:
 *	json_open(t, '{'); json_key(t, "a"); json_int(t, 1); json_key(t, "b"); json_null(t); json_close(t, '}');
 * Strings are escaped; bytes that are not valid UTF-8 are replaced by U+FFFD, so the output is always valid JSON.
 */
void json_open(struct text *text, char bracket);
void json_close(struct text *text, char bracket);
void json_key(struct text *text, const char *key);
void json_int(struct text *text, int64_t value);
void json_number(struct text *text, double value); /* shortest form that reads back the same; not finite: null */
void json_bool(struct text *text, bool value);
void json_null(struct text *text);
void json_string(struct text *text, const char *string); /* NULL: null */
void json_bytes(struct text *text, const char *string, size_t len);
void json_raw(struct text *text, const char *json, size_t len); /* a JSON value already written */
/* key and value in one. */
void json_key_int(struct text *text, const char *key, int64_t value);
void json_key_string(struct text *text, const char *key, const char *string);
void json_key_bool(struct text *text, const char *key, bool value);

#endif
