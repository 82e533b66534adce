/* Documents that a schema might take, and such as it must not: drawn from a seed. */
#ifndef GARRISON_FUZZ_RANDOM_JSON_H
#define GARRISON_FUZZ_RANDOM_JSON_H

#include "field.h"

/* Appends an object for the schema: mostly right, with values at and past their limits, of other types, left out or given twice. */
void random_json(struct text *out, const struct schema *schema, uint64_t *state);

#endif
