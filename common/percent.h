/* Percent-encoding (RFC 3986, section 2.1), and the hexadecimal digits it is made of. */
#ifndef GARRISON_PERCENT_H
#define GARRISON_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

/* The value of a hexadecimal digit of either case; -1 for another character. Any thread. */
int hex_digit(char c);
/*
 * Writes what len encoded bytes stand for to `to`, NUL-terminated; len + 1 bytes suffice, and it may be `from` itself.
 * plus_is_space as in a form or a query. False for a broken escape or one of a NUL: `to` then holds nothing of use. Any thread.
 */
bool percent_decode(const char *from, size_t len, bool plus_is_space, char *to);

#endif
