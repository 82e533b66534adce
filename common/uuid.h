/* UUIDs (RFC 9562) as sixteen bytes. */
#ifndef GARRISON_UUID_H
#define GARRISON_UUID_H

#include <stdbool.h>

#define UUID_TEXT_MAX 37

struct uuid {
	unsigned char bytes[16];
};

/* A random UUID (version 4). Any thread. */
struct uuid uuid_random(void);
/* Reads the 8-4-4-4-12 form, either case; 0, or -1 and *out untouched. Any thread. */
int uuid_parse(const char *text, struct uuid *out);
/* Lower-case text into buffer; returns buffer. Any thread. */
char *uuid_format(const struct uuid *uuid, char buffer[static UUID_TEXT_MAX]);
/* memcmp's order, which is also the order of the text and PostgreSQL's. Any thread. */
int uuid_compare(const struct uuid *a, const struct uuid *b);
/* True for the nil UUID, all zeros. Any thread. */
bool uuid_is_nil(const struct uuid *uuid);

#endif
