/*
 * One table describes a struct, and is its JSON parser, validator, writer, JSON Schema, help text and settings reader:
 *
 *	static const struct field join_fields[] = {
 *		FIELD(struct join, char_id, .required = true, .min = 1, .help = "the character"),
 *		FIELD(struct join, mode, .required = true, .max = 32, .help = "a mode of ARENA_MODES"),
 *	};
 *	const struct schema join_request = SCHEMA(struct join, join_fields, .name = "join_queue request");
 *
 * FIELD takes the kind from the member's C type, so a row cannot disagree with its struct:
 *
 *	bool                 true/false                         absent: false (or .preset)
 *	int64_t              integer within .min … .max         absent: 0 (or .preset)
 *	struct opt_int       the same, with .set                absent: .set = false
 *	double               number                             absent: 0
 *	const char *         string of .min … .max code points  absent: NULL (or .preset)
 *	int                  one of .choices, by index          absent: 0 (or .preset); -1 is written as absent
 *	struct uuid          UUID text                          absent: nil
 *	struct timestamp     RFC 3339 text, microseconds        absent: 0
 *	struct json_text     any JSON, kept as compact text     absent: .text = NULL; null is JSON too, unless .nullable
 *	struct list          array; items are of .of            absent: .n = 0, .items NULL (only then)
 *	struct map           object with free keys; items of .of, sorted by key; the item's first field is its key
 *	struct something *   object of .of                      absent: NULL
 *	struct something     object of .of, embedded            (an absent one is read as {} )
 *
 * A schema whose only (or, in a map, whose only other) field is named "" stands for that field's bare value: a list of
 * strings is a list of structs with one such field. A map's key is an int64_t, a const char * or a struct uuid.
 * In results, what is absent is left out unless the row says .nullable, then it is null; so is what is absent among
 * bare values. .min/.max of a list or map count entries.
 */
#ifndef GARRISON_FIELD_H
#define GARRISON_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"
#include "json.h"
#include "scratch.h"
#include "text.h"
#include "uuid.h"

#define INT_LIMIT ((int64_t)9007199254740991) /* 2^53 - 1: what every JSON reader keeps */

struct opt_int {
	bool set;
	int64_t value;
};
struct timestamp {
	int64_t us; /* Unix time in microseconds */
};
struct json_text {
	const char *text;
	size_t len;
};
struct list {
	size_t n;
	void *items;
};
struct map {
	size_t n;
	void *items;
};

enum field_kind {
	FIELD_BOOL,
	FIELD_INT,
	FIELD_OPT_INT,
	FIELD_NUMBER,
	FIELD_STRING,
	FIELD_ENUM,
	FIELD_UUID,
	FIELD_TIME,
	FIELD_JSON,
	FIELD_LIST,
	FIELD_MAP,
	FIELD_OBJECT /* embedded, or by .pointer */
};

/* How a number of a setting is spelled in text; JSON always has the bare number. */
enum field_unit { UNIT_NONE, UNIT_MS /* "500ms", "10s", "6m", "24h", "30d" */, UNIT_OFF /* "off" reads as 0 */ };

struct schema;

struct field {
	const char *name; /* the member's */
	const char *as;	  /* the name outside, where it differs; "" for a bare value */
	const char *help;
	enum field_kind kind;
	uint32_t offset;
	uint32_t size;
	bool pointer; /* the member is one: set by FIELD, told from embedded objects */
	bool required;
	bool nullable; /* null is taken as absent; an absent one is written as null */
	bool secret;   /* never logged, stored or shown */
	enum field_unit unit;
	int64_t min, max;	    /* both 0: no limit but the kind's own; .max below .min: no upper limit */
	const char *const *choices; /* for int members */
	size_t n_choices;
	const char *preset;	 /* the default, as text (settings' spelling) */
	const struct schema *of; /* objects, lists, maps */
};

struct schema {
	const char *name;
	const struct field *fields;
	size_t n_fields;
	size_t size; /* of the struct */
};

/* clang-format off */
#define FIELD_KIND_OF(lvalue) _Generic((lvalue), \
	bool: FIELD_BOOL, int64_t: FIELD_INT, struct opt_int: FIELD_OPT_INT, double: FIELD_NUMBER, const char *: FIELD_STRING, \
	int: FIELD_ENUM, struct uuid: FIELD_UUID, struct timestamp: FIELD_TIME, struct json_text: FIELD_JSON, \
	struct list: FIELD_LIST, struct map: FIELD_MAP, default: FIELD_OBJECT)
/* clang-format on */

#define FIELD(type, member, ...)                                                                                       \
	{                                                                                                              \
		.name = #member, .kind = FIELD_KIND_OF(((type *)0)->member), .offset = offsetof(type, member),         \
		.size = sizeof(((type *)0)->member),                                                                   \
		.pointer = __builtin_classify_type(((type *)0)->member) == __builtin_classify_type((void *)0),         \
		__VA_ARGS__                                                                                            \
	}

#define SCHEMA(type, table, ...)                                                                                       \
	{                                                                                                              \
		.fields = (table), .n_fields = ARRAY_LEN(table), .size = sizeof(type), __VA_ARGS__                     \
	}

/* A wrong field, by full path ("participants.101.changes.xp_gained"). */
struct problem {
	const char *field;
	const char *problem;
};
#define PROBLEMS_MAX 32
struct problems {
	size_t n; /* found in all; the first PROBLEMS_MAX are kept */
	struct problem items[PROBLEMS_MAX];
};

/* The name of a field outside. Any thread. */
const char *field_name(const struct field *field);

/*
 * Reads a JSON object into out (schema->size bytes, zeroed by the callee first). Strings, lists and maps live in
 * scratch, so the tree may go. Every problem found is added to problems, with texts in scratch. 0, or -1 when there was
 * any; then *out is not to be used. Any thread.
 */
int schema_read(
	const struct schema *schema, const cJSON *json, void *out, struct scratch *scratch, struct problems *problems);

/* Writes the struct as a JSON object onto text. Any thread. */
void schema_write(const struct schema *schema, const void *in, struct text *text);

/* Writes the schema as JSON Schema (2020-12) onto text; nested schemas are written in place. Any thread. */
void schema_describe(const struct schema *schema, struct text *text);

/*
 * Writes the JSON value without its secret fields: each is replaced by "[secret]", wherever the schema names it; what
 * the schema does not name beside one, or has of another shape, is written as null, for nobody can say what it holds.
 * Any thread.
 */
void schema_write_blanked(const struct schema *schema, const cJSON *json, struct text *text);
/* True when the schema or one below it has a secret field. Any thread. */
bool schema_has_secret(const struct schema *schema);

/*
 * Reads one field from text in the settings' spelling into its struct (strings are copied into scratch; a list is comma
 * separated, true and false may be on and off). 0, or -1 with the reason in err, which never repeats a secret's value.
 * Any thread.
 */
int field_read_text(const struct field *field, void *out, const char *text, struct scratch *scratch, struct error *err);
/* Fills every field that has a .preset, in embedded objects too; aborts on a preset that is not valid. Any thread. */
void schema_preset(const struct schema *schema, void *out, struct scratch *scratch);

/* BUG()s when a table contradicts itself: no .of where one is due, wrong sizes, a map without key. Called at start. */
void schema_check(const struct schema *schema);

#endif
