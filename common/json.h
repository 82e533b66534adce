/*
 * Strict JSON in. cJSON alone takes trailing garbage, invalid UTF-8, raw control characters, [01], U+0000 and any
 * depth; what passes here is one RFC 8259 value. Nothing else in the tree calls cJSON_Parse.
 */
#ifndef GARRISON_JSON_H
#define GARRISON_JSON_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "error.h"
#include "scratch.h"
#include "utf8.h"

#define JSON_DEPTH_MAX 32
#define JSON_DIGEST_LEN 32

/*
 * Parses len bytes as exactly one JSON value. The tree lives in scratch and is gone with it: never cJSON_Delete it,
 * never modify it through cJSON calls that allocate or free. Failure: NULL with err invalid_json (not one JSON value;
 * says where), or invalid_payload (nested deeper than JSON_DEPTH_MAX, a U+0000 or half a surrogate pair, a number past
 * a double's range or of more than 60 characters, or larger in memory than the scratch's cap). Integers of more than
 * 15 digits keep them for json_write. Any thread.
 */
const cJSON *json_parse(const char *text, size_t len, struct scratch *scratch, struct error *err);

/*
 * 0 when json_parse() would take the text, memory aside; -1 with the same errors. Builds no tree; scratch holds little. Any thread.
 */
int json_check(const char *text, size_t len, struct scratch *scratch, struct error *err);

/*
 * The BLAKE2b-256 digest of the value's canonical form (RFC 8785 in spirit: keys sorted bytewise, no white space,
 * numbers by value as doubles), so that two spellings of one document agree. Any thread.
 */
void json_digest(const cJSON *value, unsigned char digest[static JSON_DIGEST_LEN]);

/* Writes the value without white space onto text. Any thread. */
struct text;
void json_write(struct text *text, const cJSON *value);

#endif
