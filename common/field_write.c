#include <string.h>

#include "clock.h"
#include "field.h"
#include "field_rules.h"

static bool is_absent(const struct field *field, const void *slot)
{
	const struct opt_int *optional = slot;
	const struct timestamp *time = slot;
	const struct json_text *json = slot;

	/* The nil UUID and the year 1970 mean "absent" only where a field may be. */
	if (field->required && !field->nullable && (field->kind == FIELD_UUID || field->kind == FIELD_TIME))
		return false;
	switch (field->kind) {
	case FIELD_OPT_INT:
		return !optional->set;
	case FIELD_STRING:
		return !*(const char *const *)slot;
	case FIELD_ENUM:
		return *(const int *)slot < 0;
	case FIELD_UUID:
		return uuid_is_nil(slot);
	case FIELD_TIME:
		return !time->us;
	case FIELD_JSON:
		return !json->text;
	case FIELD_OBJECT:
		return field->pointer && !*(const void *const *)slot;
	default:
		return false;
	}
}

static void write_fields(const struct schema *schema, size_t from, const void *in, struct text *text)
{
	json_open(text, '{');
	for (size_t i = from; i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];

		if (!field->nullable && is_absent(field, field_slot_const(field, in)))
			continue;
		json_key(text, field_name(field));
		field_write_value(field, in, text);
	}
	json_close(text, '}');
}

static void write_item(const struct schema *schema, size_t from, const void *item, struct text *text)
{
	const struct field *bare = schema_bare(schema, from);

	if (bare)
		field_write_value(bare, item, text);
	else
		write_fields(schema, from, item, text);
}

static void write_list(const struct field *field, const struct list *list, struct text *text)
{
	const char *item = list->items;

	json_open(text, '[');
	for (size_t i = 0; i < list->n; i++, item += field->of->size)
		write_item(field->of, 0, item, text);
	json_close(text, ']');
}

static void write_map(const struct field *field, const struct map *map, struct text *text)
{
	const char *item = map->items;
	char buffer[FIELD_KEY_MAX];

	json_open(text, '{');
	for (size_t i = 0; i < map->n; i++, item += field->of->size) {
		json_key(text, field_key_text(&field->of->fields[0], item, buffer));
		write_item(field->of, 1, item, text);
	}
	json_close(text, '}');
}

static void write_choice(const struct field *field, int choice, struct text *text)
{
	if ((size_t)choice >= field->n_choices)
		BUG("%s has no choice %d", field->name, choice);
	json_string(text, field->choices[choice]);
}

static void write_present(const struct field *field, const void *slot, struct text *text)
{
	const struct opt_int *optional = slot;
	const struct timestamp *time = slot;
	const struct json_text *json = slot;
	char buffer[CLOCK_TEXT_MAX + UUID_TEXT_MAX];

	switch (field->kind) {
	case FIELD_BOOL:
		json_bool(text, *(const bool *)slot);
		return;
	case FIELD_INT:
		json_int(text, *(const int64_t *)slot);
		return;
	case FIELD_OPT_INT:
		json_int(text, optional->value);
		return;
	case FIELD_NUMBER:
		json_number(text, *(const double *)slot);
		return;
	case FIELD_STRING:
		json_string(text, *(const char *const *)slot);
		return;
	case FIELD_ENUM:
		write_choice(field, *(const int *)slot, text);
		return;
	case FIELD_UUID:
		json_string(text, uuid_format(slot, buffer));
		return;
	case FIELD_TIME:
		json_string(text, clock_format(time->us, buffer));
		return;
	case FIELD_JSON:
		json_raw(text, json->text, json->len);
		return;
	case FIELD_LIST:
		write_list(field, slot, text);
		return;
	case FIELD_MAP:
		write_map(field, slot, text);
		return;
	case FIELD_OBJECT:
		write_item(field->of, 0, field->pointer ? *(const void *const *)slot : slot, text);
		return;
	}
	BUG("field %s has kind %d", field->name, (int)field->kind);
}

void field_write_value(const struct field *field, const void *base, struct text *text)
{
	const void *slot = field_slot_const(field, base);

	if (is_absent(field, slot))
		json_null(text);
	else
		write_present(field, slot, text);
}

void schema_write(const struct schema *schema, const void *in, struct text *text)
{
	write_item(schema, 0, in, text);
}

/* Without secrets -------------------------------------------------------------------------------------------------- */

static void blank_item(const struct schema *schema, size_t from, const cJSON *json, struct text *text);

static void blank_entries(const struct field *field, const cJSON *json, struct text *text)
{
	bool map = field->kind == FIELD_MAP;

	json_open(text, map ? '{' : '[');
	for (const cJSON *child = json->child; child; child = child->next) {
		if (map)
			json_key(text, child->string);
		blank_item(field->of, map ? 1 : 0, child, text);
	}
	json_close(text, map ? '}' : ']');
}

static void blank_value(const struct field *field, const cJSON *json, struct text *text)
{
	bool container = cJSON_IsObject(json) || cJSON_IsArray(json);

	if (field->secret)
		json_string(text, "[secret]");
	else if (field->kind == FIELD_OBJECT)
		blank_item(field->of, 0, json, text);
	else if (field->kind == FIELD_LIST ? cJSON_IsArray(json) : field->kind == FIELD_MAP && cJSON_IsObject(json))
		blank_entries(field, json, text);
	else if (field->kind == FIELD_JSON || (!field->of && !container))
		json_write(text, json);
	else
		json_null(text);
}

static const struct field *find_field(const struct schema *schema, size_t from, const char *name)
{
	for (size_t i = from; i < schema->n_fields; i++)
		if (!strcmp(field_name(&schema->fields[i]), name))
			return &schema->fields[i];
	return NULL;
}

static void blank_item(const struct schema *schema, size_t from, const cJSON *json, struct text *text)
{
	const struct field *bare = schema_bare(schema, from);

	if (bare) {
		blank_value(bare, json, text);
		return;
	}
	if (!schema_has_secret(schema)) {
		json_write(text, json);
		return;
	}
	if (!cJSON_IsObject(json)) {
		json_null(text);
		return;
	}
	json_open(text, '{');
	for (const cJSON *child = json->child; child; child = child->next) {
		const struct field *field = find_field(schema, from, child->string);

		json_key(text, child->string);
		/* What the schema does not name may be a secret whose name was misspelt. */
		if (field)
			blank_value(field, child, text);
		else
			json_null(text);
	}
	json_close(text, '}');
}

void schema_write_blanked(const struct schema *schema, const cJSON *json, struct text *text)
{
	blank_item(schema, 0, json, text);
}
