/* What the readers, the writer and the describer of fields have in common. Used by field_*.c alone. */
#ifndef GARRISON_FIELD_RULES_H
#define GARRISON_FIELD_RULES_H

#include "field.h"

#define REASON_MAX 256
#define FIELDS_MAX 64 /* of one schema: the reader remembers which it has seen in one word */

/*
 * The field that the schema stands for bare, looking from field `from` on; NULL when it stands for an object. Any
 * thread.
 */
const struct field *schema_bare(const struct schema *schema, size_t from);

/* .min and .max with the kind's own limits for those not given. Any thread. */
void field_limits(const struct field *field, int64_t *min, int64_t *max);
/* True when the number, the length, the count is within the limits; else reason is "must be …". Any thread. */
bool field_number_fits(const struct field *field, double value, char reason[static REASON_MAX]);
bool field_length_fits(const struct field *field, const char *value, char reason[static REASON_MAX]);
bool field_count_fits(const struct field *field, size_t n, char reason[static REASON_MAX]);
/* The index of the choice, or -1 and reason is "must be one of …". Any thread. */
int field_choice(const struct field *field, const char *value, char reason[static REASON_MAX]);
/*
 * Reads a map's key into its slot; false and the reason when it is none. An int key has one spelling only. Any thread.
 */
bool field_read_key(const struct field *key, const char *text, void *slot, char reason[static REASON_MAX]);
/*
 * The key as a JSON object has it: in buffer, or the item's own string. BUG() on a string key that is NULL. Any
 * thread.
 */
#define FIELD_KEY_MAX 40
const char *field_key_text(const struct field *key, const void *base, char buffer[static FIELD_KEY_MAX]);
/* The order of a map's items: of the keys at their beginnings. Any thread. */
int field_compare_keys(const struct field *key, const void *a, const void *b);

/* The member in its struct. Any thread. */
static inline void *field_slot(const struct field *field, void *base)
{
	return (char *)base + field->offset;
}
static inline const void *field_slot_const(const struct field *field, const void *base)
{
	return (const char *)base + field->offset;
}

/* Writes the member's value, whatever precedes it; null when it is absent. Any thread. */
void field_write_value(const struct field *field, const void *base, struct text *text);

#endif
