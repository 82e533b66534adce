/* The grammar of RFC 8259, checked before cJSON, which is not strict, sees the text. Used by json.c alone. */
#ifndef GARRISON_JSON_SCAN_H
#define GARRISON_JSON_SCAN_H

#include <stddef.h>

#include "error.h"
#include "scratch.h"

/* An integer of more digits than a double keeps, by its place among the document's numbers. */
struct exact_number {
	struct exact_number *next; /* in document order */
	size_t ordinal;		   /* counted from 0 */
	const char *text;
	size_t len;
};

/*
 * Checks that len bytes are exactly one JSON value which can be taken: depth, no U+0000, numbers that a double can
 * hold. *exact becomes the list of its long integers, made in scratch. 0, or -1: invalid_json, or invalid_payload with
 * the path of the value. Any thread.
 */
int json_scan(const char *text, size_t len, struct scratch *scratch, struct exact_number **exact, struct error *err);

#endif
