#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "field_rules.h"

bool schema_has_secret(const struct schema *schema)
{
	for (size_t i = 0; i < schema->n_fields; i++)
		if (schema->fields[i].secret || (schema->fields[i].of && schema_has_secret(schema->fields[i].of)))
			return true;
	return false;
}

/* JSON Schema ------------------------------------------------------------------------------------------------------ */

static void describe_item(const struct schema *schema, size_t from, struct text *text);

static const char *type_name(enum field_kind kind)
{
	static const char *const names[] = {
		[FIELD_BOOL] = "boolean",
		[FIELD_INT] = "integer",
		[FIELD_OPT_INT] = "integer",
		[FIELD_NUMBER] = "number",
		[FIELD_STRING] = "string",
		[FIELD_ENUM] = "string",
		[FIELD_UUID] = "string",
		[FIELD_TIME] = "string",
		[FIELD_JSON] = NULL,
		[FIELD_LIST] = "array",
		[FIELD_MAP] = "object",
		[FIELD_OBJECT] = "object",
	};

	return names[kind];
}

static void describe_type(const struct field *field, struct text *text)
{
	const char *type = type_name(field->kind);

	/* Any JSON is what a schema without type takes. */
	if (!type)
		return;
	json_key(text, "type");
	if (field->nullable) {
		json_open(text, '[');
		json_string(text, type);
		json_string(text, "null");
		json_close(text, ']');
	} else {
		json_string(text, type);
	}
}

static void describe_limits(const struct field *field, const char *low, const char *high, struct text *text)
{
	int64_t min, max;

	if (!field->min && !field->max)
		return;
	field_limits(field, &min, &max);
	json_key_int(text, low, min);
	if (max != INT_LIMIT)
		json_key_int(text, high, max);
}

static void describe_choices(const struct field *field, struct text *text)
{
	json_key(text, "enum");
	json_open(text, '[');
	for (size_t i = 0; i < field->n_choices; i++)
		json_string(text, field->choices[i]);
	if (field->nullable)
		json_null(text);
	json_close(text, ']');
}

static void describe_map(const struct schema *of, struct text *text)
{
	const struct field *key = &of->fields[0];

	json_key(text, "propertyNames");
	json_open(text, '{');
	if (key->kind == FIELD_INT)
		json_key_string(text, "pattern", "^(0|-?[1-9][0-9]{0,15})$");
	else if (key->kind == FIELD_UUID)
		json_key_string(text, "format", "uuid");
	else
		describe_limits(key, "minLength", "maxLength", text);
	if (key->help)
		json_key_string(text, "description", key->help);
	json_close(text, '}');
	json_key(text, "additionalProperties");
	json_open(text, '{');
	describe_item(of, 1, text);
	json_close(text, '}');
}

static void describe_fields(const struct schema *schema, size_t from, struct text *text);

/* What only fields of this kind have. */
static void describe_kind(const struct field *field, struct text *text)
{
	switch (field->kind) {
	case FIELD_INT:
	case FIELD_OPT_INT:
	case FIELD_NUMBER:
		describe_limits(field, "minimum", "maximum", text);
		return;
	case FIELD_STRING:
		describe_limits(field, "minLength", "maxLength", text);
		return;
	case FIELD_ENUM:
		describe_choices(field, text);
		return;
	case FIELD_UUID:
		json_key_string(text, "format", "uuid");
		return;
	case FIELD_TIME:
		json_key_string(text, "format", "date-time");
		return;
	case FIELD_LIST:
		describe_limits(field, "minItems", "maxItems", text);
		json_key(text, "items");
		json_open(text, '{');
		describe_item(field->of, 0, text);
		json_close(text, '}');
		return;
	case FIELD_MAP:
		describe_limits(field, "minProperties", "maxProperties", text);
		describe_map(field->of, text);
		return;
	case FIELD_OBJECT:
		describe_fields(field->of, 0, text);
		return;
	case FIELD_BOOL:
	case FIELD_JSON:
		return;
	}
}

/*
 * The members of the field's schema, inside braces that are open; defaults may be NULL where there is no struct
 * around.
 */
static void describe_field(const struct field *field, const void *defaults, struct text *text)
{
	describe_type(field, text);
	if (field->help)
		json_key_string(text, "description", field->help);
	describe_kind(field, text);
	if (field->preset && defaults) {
		json_key(text, "default");
		field_write_value(field, defaults, text);
	}
	if (field->secret)
		json_key_bool(text, "writeOnly", true);
}

static void describe_required(const struct schema *schema, size_t from, struct text *text)
{
	size_t n = 0;

	for (size_t i = from; i < schema->n_fields; i++) {
		if (!schema->fields[i].required)
			continue;
		if (!n++) {
			json_key(text, "required");
			json_open(text, '[');
		}
		json_string(text, field_name(&schema->fields[i]));
	}
	if (n)
		json_close(text, ']');
}

static void describe_fields(const struct schema *schema, size_t from, struct text *text)
{
	CLEANUP(release_memory) void *defaults = must_zalloc(schema->size);
	CLEANUP(scratch_release) struct scratch scratch;

	scratch_init(&scratch, SIZE_MAX);
	schema_preset(schema, defaults, &scratch);
	json_key(text, "properties");
	json_open(text, '{');
	for (size_t i = from; i < schema->n_fields; i++) {
		json_key(text, field_name(&schema->fields[i]));
		json_open(text, '{');
		describe_field(&schema->fields[i], defaults, text);
		json_close(text, '}');
	}
	json_close(text, '}');
	describe_required(schema, from, text);
}

static void describe_item(const struct schema *schema, size_t from, struct text *text)
{
	const struct field *bare = schema_bare(schema, from);

	if (bare) {
		describe_field(bare, NULL, text);
		return;
	}
	json_key_string(text, "type", "object");
	describe_fields(schema, from, text);
}

void schema_describe(const struct schema *schema, struct text *text)
{
	json_open(text, '{');
	if (schema->name)
		json_key_string(text, "title", schema->name);
	describe_item(schema, 0, text);
	json_close(text, '}');
}

/* Checking the tables ---------------------------------------------------------------------------------------------- */

#define NESTED_MAX 16

static const size_t kind_sizes[] = {
	[FIELD_BOOL] = sizeof(bool),
	[FIELD_INT] = sizeof(int64_t),
	[FIELD_OPT_INT] = sizeof(struct opt_int),
	[FIELD_NUMBER] = sizeof(double),
	[FIELD_STRING] = sizeof(const char *),
	[FIELD_ENUM] = sizeof(int),
	[FIELD_UUID] = sizeof(struct uuid),
	[FIELD_TIME] = sizeof(struct timestamp),
	[FIELD_JSON] = sizeof(struct json_text),
	[FIELD_LIST] = sizeof(struct list),
	[FIELD_MAP] = sizeof(struct map),
	[FIELD_OBJECT] = 0,
};

static void check_schema(const struct schema *schema, int depth);

static void check_map(const struct field *field)
{
	const struct field *key = &field->of->fields[0];

	if (field->of->n_fields < 2 || !*field_name(key) ||
		(key->kind != FIELD_INT && key->kind != FIELD_STRING && key->kind != FIELD_UUID))
		BUG("map %s: its items need a key first, an int64_t, const char * or struct uuid, and then a value",
			field->name);
}

static void check_nested(const struct field *field, int depth)
{
	if (!field->of)
		BUG("%s has no .of", field->name);
	if (field->kind == FIELD_MAP)
		check_map(field);
	check_schema(field->of, depth + 1);
}

static void check_field(const struct schema *schema, const struct field *field, int depth)
{
	bool nested = field->kind == FIELD_OBJECT || field->kind == FIELD_LIST || field->kind == FIELD_MAP;
	size_t size = kind_sizes[field->kind];

	if (nested)
		check_nested(field, depth);
	else if (field->of)
		BUG("%s has an .of, but is no object, list or map", field->name);
	if (field->kind == FIELD_OBJECT)
		size = field->pointer ? sizeof(void *) : field->of->size;
	if (field->size != size || field->offset > schema->size || size > schema->size - field->offset)
		BUG("%s lies outside its struct, or has another size than its kind", field->name);
	if ((field->kind == FIELD_ENUM) != (field->n_choices > 0))
		BUG("%s: choices are for int members, which need them", field->name);
	if (field->min < -INT_LIMIT || field->min > INT_LIMIT || field->max > INT_LIMIT || field->max < -INT_LIMIT)
		BUG("%s has a limit past 2^53 - 1", field->name);
	if (field->required && field->preset)
		BUG("%s is required and has a preset", field->name);
}

static void check_presets(const struct schema *schema)
{
	CLEANUP(release_memory) void *presets = must_zalloc(schema->size);
	CLEANUP(scratch_release) struct scratch scratch;

	scratch_init(&scratch, SIZE_MAX);
	schema_preset(schema, presets, &scratch);
}

static void check_schema(const struct schema *schema, int depth)
{
	if (depth > NESTED_MAX)
		BUG("schema %s holds itself, or nests too deep", schema->name ? schema->name : "");
	if (schema->n_fields > FIELDS_MAX)
		BUG("schema %s has more than %d fields", schema->name ? schema->name : "", FIELDS_MAX);
	for (size_t i = 0; i < schema->n_fields; i++) {
		const char *name = field_name(&schema->fields[i]);

		if (!*name && i + 1 != schema->n_fields)
			BUG("%s: a bare value is the last field", schema->fields[i].name);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(name, field_name(&schema->fields[j])))
				BUG("schema %s has %s twice", schema->name ? schema->name : "", name);
		check_field(schema, &schema->fields[i], depth);
	}
	check_presets(schema);
}

void schema_check(const struct schema *schema)
{
	check_schema(schema, 0);
}
