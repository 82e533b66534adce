/*
 * A session's bytes in session_snapshots.payload. A string is stored as it is. A hash is stored as field, value, field, value, …,
 * each as its length (four bytes, most significant first) and its bytes; so any program can read it, on any version of Redis.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stddef.h>

#include "scratch.h"
#include "text.h"

/* Bytes that somebody else owns; at is NULL for what is absent. */
struct bytes {
	const char *at;
	size_t len;
};

/* Appends one field or value of a hash. Any thread. */
void payload_add(struct text *payload, const char *bytes, size_t len);

/*
 * The parts of a hash's payload, which point into it; the array lives in scratch. 0, or -1 when the bytes are no such payload
 * (cut short, an odd number of parts, none) or do not fit in scratch. Any thread.
 */
int payload_split(const char *payload, size_t len, struct scratch *scratch, struct bytes **parts, size_t *n);

#endif
