/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing past U+10FFFF. */
#ifndef GARRISON_UTF8_H
#define GARRISON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the code point that len bytes begin with, 1 to 4; 0 when they begin with none. Any thread. */
size_t utf8_step(const char *text, size_t len);
/* True when len bytes are valid UTF-8. Any thread. */
bool utf8_valid(const char *text, size_t len);
/* The number of code points in valid UTF-8. Any thread. */
size_t utf8_length(const char *text);
/* The largest length, at most max, that cuts no code point of valid UTF-8 in two. Any thread. */
size_t utf8_cut(const char *text, size_t max);

#endif
