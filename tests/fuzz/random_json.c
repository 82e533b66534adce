#include "random_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "field_rules.h"
#include "input.h"

#define DEPTH_MAX 40
#define ITEMS_MAX 5

static const char *const odd_values[] = {
	"null",
	"true",
	"[]",
	"{}",
	"\"\"",
	"-0",
	"0.5",
	"1e400",
	"9007199254740992",
	"-9007199254740993",
	"9223372036854775808",
	"1E+2",
	"100e-2",
	"\"\\ud83d\"",
	"\"\\u0000\"",
	"\"\xff\"",
	"\"\xed\xa0\x80\"",
	"\"\\ud83d\\ude00\"",
	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	"{\"a\":1,\"a\":2}",
	"01",
	"1.",
	"nul",
	"\"a",
	"0b9c0c1e",
};
static const char *const letters[] = { "a", "Z", "0", " ", "-", ":", "\xd0\xa8", "\xe2\x82\xac", "\xf0\x9f\x90\xba",
	"\\n", "\\\"", "\\u0416", "item:", "%", "'" };

static bool one_in(uint64_t *state, unsigned n)
{
	return random_below(state, n) == 0;
}

static int64_t random_integer(const struct field *field, uint64_t *state)
{
	static const int64_t steps[] = { -1, 0, 1 };
	int64_t min, max;

	field_limits(field, &min, &max);
	switch (random_below(state, 8)) {
	case 0:
		return min + steps[random_below(state, ARRAY_LEN(steps))];
	case 1:
		return max + steps[random_below(state, ARRAY_LEN(steps))];
	default:
		return min + (int64_t)(random_next(state) % ((uint64_t)(max - min < 1000 ? max - min : 1000) + 1));
	}
}

static void add_string(struct text *out, const struct field *field, uint64_t *state)
{
	int64_t min = 0, max = 40, n;

	if (field)
		field_limits(field, &min, &max);
	if (max > 200 && !one_in(state, 64))
		max = 40;
	if (max > 5000)
		max = 5000;
	n = one_in(state, 16) ? max + (int64_t)random_below(state, 2)
			      : min + (int64_t)(max > min ? random_next(state) % (uint64_t)(max - min + 1) : 0);
	text_char(out, '"');
	for (int64_t i = 0; i < n; i++)
		text_str_add(out, letters[one_in(state, 4) ? random_below(state, ARRAY_LEN(letters)) : 0]);
	text_char(out, '"');
}

static void add_uuid(struct text *out, uint64_t *state)
{
	/* One of a few, so that two fields may agree. */
	text_printf(out, "\"%08x-7a0e-4a53-9f3e-0d5a2f1a6b11\"", random_below(state, 4));
}

static void add_any(struct text *out, uint64_t *state, int depth)
{
	unsigned n = random_below(state, ITEMS_MAX);

	if (depth >= DEPTH_MAX || one_in(state, 2)) {
		text_str_add(out, odd_values[random_below(state, ARRAY_LEN(odd_values))]);
		return;
	}
	text_char(out, one_in(state, 2) ? '[' : '{');
	for (unsigned i = 0; i < n; i++) {
		if (i)
			text_char(out, ',');
		if (out->len && one_in(state, 2))
			text_printf(out, "\"k%u\":", i);
		add_any(out, state, depth + 1);
	}
	text_char(out, one_in(state, 2) ? ']' : '}');
}

static void add_object(struct text *out, const struct schema *schema, size_t from, uint64_t *state, int depth);
static void add_value(struct text *out, const struct field *field, uint64_t *state, int depth);

/* What stands for a struct of the schema: an object, or its bare value. */
static void add_item(struct text *out, const struct schema *schema, size_t from, uint64_t *state, int depth)
{
	const struct field *bare = schema_bare(schema, from);

	if (bare)
		add_value(out, bare, state, depth);
	else
		add_object(out, schema, from, state, depth);
}

static void add_key(struct text *out, const struct field *key, uint64_t *state)
{
	if (key->kind == FIELD_INT)
		text_printf(out, "\"%" PRId64 "\"", random_integer(key, state));
	else if (key->kind == FIELD_UUID)
		add_uuid(out, state);
	else
		add_string(out, NULL, state);
}

static void add_items(struct text *out, const struct field *field, uint64_t *state, int depth)
{
	bool map = field->kind == FIELD_MAP;
	unsigned n = one_in(state, 64) ? 70 : random_below(state, ITEMS_MAX);

	text_char(out, map ? '{' : '[');
	for (unsigned i = 0; i < n; i++) {
		if (i)
			text_char(out, ',');
		if (map) {
			add_key(out, &field->of->fields[0], state);
			text_char(out, ':');
		}
		add_item(out, field->of, map, state, depth + 1);
	}
	text_char(out, map ? '}' : ']');
}

static void add_value(struct text *out, const struct field *field, uint64_t *state, int depth)
{
	if (one_in(state, 48)) {
		text_str_add(out, odd_values[random_below(state, ARRAY_LEN(odd_values))]);
		return;
	}
	switch (field->kind) {
	case FIELD_BOOL:
		text_str_add(out, one_in(state, 2) ? "true" : "false");
		break;
	case FIELD_INT:
	case FIELD_OPT_INT:
		text_printf(out, "%" PRId64 "%s", random_integer(field, state), one_in(state, 32) ? ".0" : "");
		break;
	case FIELD_NUMBER:
		text_printf(out, "%d.%ue%d", (int)random_below(state, 9), random_below(state, 1000),
			(int)random_below(state, 20) - 10);
		break;
	case FIELD_STRING:
		add_string(out, field, state);
		break;
	case FIELD_ENUM:
		text_printf(out, "\"%s\"", field->choices[random_below(state, (unsigned)field->n_choices)]);
		break;
	case FIELD_UUID:
		add_uuid(out, state);
		break;
	case FIELD_TIME:
		text_printf(out, "\"20%02u-%02u-%02uT%02u:00:00.000Z\"", random_below(state, 100),
			random_below(state, 14), random_below(state, 33), random_below(state, 26));
		break;
	case FIELD_JSON:
		add_any(out, state, depth + 1);
		break;
	case FIELD_LIST:
	case FIELD_MAP:
		add_items(out, field, state, depth);
		break;
	case FIELD_OBJECT:
		add_item(out, field->of, 0, state, depth + 1);
		break;
	}
}

static void add_object(struct text *out, const struct schema *schema, size_t from, uint64_t *state, int depth)
{
	bool first = true;

	text_char(out, '{');
	for (size_t i = from; i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];
		/* An optional one is absent as often as not. */
		unsigned times = one_in(state, field->required ? 64 : 2) ? 0 : one_in(state, 128) ? 2 : 1;

		while (times--) {
			text_printf(out, "%s\"%s\":", first ? "" : ",", field_name(field));
			add_value(out, field, state, depth);
			first = false;
		}
	}
	if (one_in(state, 16))
		text_printf(out, "%s\"other\":%s", first ? "" : ",", one_in(state, 2) ? "1" : "{\"x\":[]}");
	text_char(out, '}');
}

void random_json(struct text *out, const struct schema *schema, uint64_t *state)
{
	add_object(out, schema, 0, state, 0);
}
