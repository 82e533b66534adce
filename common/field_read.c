#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "field_problem.h"
#include "field_rules.h"

static void read_fields(struct reader *reader, const struct place *at, const struct schema *schema, size_t from,
	const cJSON *json, void *out);
static void read_value(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, void *base);

static void read_int(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, int64_t *value)
{
	char reason[REASON_MAX];

	if (!cJSON_IsNumber(json))
		problem_type(reader, at, "must be an integer", json);
	else if (json->valuedouble != trunc(json->valuedouble))
		problem_add(reader, at, "must be an integer");
	else if (!field_number_fits(field, json->valuedouble, reason))
		problem_add(reader, at, reason);
	else
		*value = (int64_t)json->valuedouble;
}

static void read_number(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, double *value)
{
	char reason[REASON_MAX];

	if (!cJSON_IsNumber(json))
		problem_type(reader, at, "must be a number", json);
	else if (!field_number_fits(field, json->valuedouble, reason))
		problem_add(reader, at, reason);
	else
		*value = json->valuedouble;
}

/* The tree's own strings go with it, and a batch's trees are gone before its handler runs. */
static void keep_string(struct reader *reader, const struct place *at, const char *string, const char **value)
{
	size_t size = strlen(string) + 1;
	char *copy = problem_memory(reader, at, size, 1);

	if (copy)
		*value = memcpy(copy, string, size);
}

/* Strings, and what is written as one. */
static void read_string(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, const char **value)
{
	char reason[REASON_MAX];

	if (!cJSON_IsString(json))
		problem_type(reader, at, "must be a string", json);
	else if (!field_length_fits(field, json->valuestring, reason))
		problem_add(reader, at, reason);
	else
		keep_string(reader, at, json->valuestring, value);
}

static void read_enum(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, int *value)
{
	char reason[REASON_MAX];
	int choice = field_choice(field, cJSON_IsString(json) ? json->valuestring : NULL, reason);

	if (choice >= 0)
		*value = choice;
	else if (cJSON_IsString(json))
		problem_add(reader, at, reason);
	else
		problem_type(reader, at, reason, json);
}

static void read_uuid(struct reader *reader, const struct place *at, const cJSON *json, struct uuid *value)
{
	if (!cJSON_IsString(json))
		problem_type(reader, at, "must be a UUID", json);
	else if (uuid_parse(json->valuestring, value))
		problem_add(reader, at, "must be a UUID such as 0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11");
}

static void read_time(struct reader *reader, const struct place *at, const cJSON *json, struct timestamp *value)
{
	if (!cJSON_IsString(json))
		problem_type(reader, at, "must be a time", json);
	else if (clock_parse(json->valuestring, &value->us))
		problem_add(reader, at, "must be a time such as 2026-01-31T12:00:00.000Z");
}

static void read_json(struct reader *reader, const struct place *at, const cJSON *json, struct json_text *value)
{
	CLEANUP(text_release) struct text text = { 0 };
	char *copy;

	json_write(&text, json);
	copy = problem_memory(reader, at, text.len + 1, 1);
	if (!copy)
		return;
	value->text = memcpy(copy, text.bytes, text.len + 1);
	value->len = text.len;
}

/* One entry of a list or map, or what a schema stands for. */
static void read_item(struct reader *reader, const struct place *at, const struct schema *schema, size_t from,
	const cJSON *json, void *item)
{
	const struct field *bare = schema_bare(schema, from);

	if (bare)
		read_value(reader, at, bare, json, item);
	else if (cJSON_IsObject(json))
		read_fields(reader, at, schema, from, json, item);
	else
		problem_type(reader, at, "must be an object", json);
}

static size_t count(const cJSON *json)
{
	size_t n = 0;

	for (const cJSON *child = json->child; child; child = child->next)
		n++;
	return n;
}

static void read_list(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, struct list *list)
{
	struct place item = { .up = at };
	char reason[REASON_MAX];
	size_t n;

	if (!cJSON_IsArray(json)) {
		problem_type(reader, at, "must be an array", json);
		return;
	}
	n = count(json);
	if (!field_count_fits(field, n, reason)) {
		problem_add(reader, at, reason);
		return;
	}
	list->items = problem_memory(reader, at, n, field->of->size);
	if (!list->items)
		return;
	list->n = n;
	for (const cJSON *child = json->child; child && !reader->full; child = child->next, item.index++)
		read_item(reader, &item, field->of, 0, child, (char *)list->items + item.index * field->of->size);
}

static int by_key(const void *a, const void *b, void *key)
{
	return field_compare_keys(key, a, b);
}

static void sort_items(struct reader *reader, const struct place *at, const struct schema *schema, struct map *map)
{
	struct field key = schema->fields[0];
	char *items = map->items;

	qsort_r(items, map->n, schema->size, by_key, &key);
	for (size_t i = 1; i < map->n; i++) {
		const char *item = items + i * schema->size;
		char buffer[FIELD_KEY_MAX];
		struct place entry = { .up = at };

		if (field_compare_keys(&key, item - schema->size, item) != 0)
			continue;
		entry.name = field_key_text(&key, item, buffer);
		problem_add(reader, &entry, "appears twice");
	}
}

static void read_map(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, struct map *map)
{
	const struct field *key = &field->of->fields[0];
	char reason[REASON_MAX];
	char *item;
	size_t n;

	if (!cJSON_IsObject(json)) {
		problem_type(reader, at, "must be an object", json);
		return;
	}
	n = count(json);
	if (!field_count_fits(field, n, reason)) {
		problem_add(reader, at, reason);
		return;
	}
	map->items = item = n ? problem_memory(reader, at, n, field->of->size) : NULL;
	for (const cJSON *child = json->child; child && item && !reader->full; child = child->next) {
		struct place entry = { .up = at, .name = child->string };

		if (!field_read_key(key, child->string, field_slot(key, item), reason)) {
			problem_add(reader, &entry, reason);
			continue;
		}
		if (key->kind == FIELD_STRING)
			keep_string(reader, &entry, child->string, field_slot(key, item));
		read_item(reader, &entry, field->of, 1, child, item);
		item += field->of->size;
		map->n++;
	}
	if (item && map->n > 1 && !reader->full)
		sort_items(reader, at, field->of, map);
}

static void read_object(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, void *slot)
{
	void **pointer = slot;

	if (field->pointer) {
		slot = problem_memory(reader, at, 1, field->of->size);
		if (!slot)
			return;
		*pointer = slot;
	}
	read_item(reader, at, field->of, 0, json, slot);
}

static void read_value(
	struct reader *reader, const struct place *at, const struct field *field, const cJSON *json, void *base)
{
	void *slot = field_slot(field, base);
	struct opt_int *optional = slot;

	switch (field->kind) {
	case FIELD_BOOL:
		if (cJSON_IsBool(json))
			*(bool *)slot = cJSON_IsTrue(json);
		else
			problem_type(reader, at, "must be true or false", json);
		return;
	case FIELD_INT:
		read_int(reader, at, field, json, slot);
		return;
	case FIELD_OPT_INT:
		read_int(reader, at, field, json, &optional->value);
		optional->set = true;
		return;
	case FIELD_NUMBER:
		read_number(reader, at, field, json, slot);
		return;
	case FIELD_STRING:
		read_string(reader, at, field, json, slot);
		return;
	case FIELD_ENUM:
		read_enum(reader, at, field, json, slot);
		return;
	case FIELD_UUID:
		read_uuid(reader, at, json, slot);
		return;
	case FIELD_TIME:
		read_time(reader, at, json, slot);
		return;
	case FIELD_JSON:
		read_json(reader, at, json, slot);
		return;
	case FIELD_LIST:
		read_list(reader, at, field, json, slot);
		return;
	case FIELD_MAP:
		read_map(reader, at, field, json, slot);
		return;
	case FIELD_OBJECT:
		read_object(reader, at, field, json, slot);
		return;
	}
	BUG("field %s has kind %d", field->name, (int)field->kind);
}

static void read_absent(struct reader *reader, const struct place *at, const struct field *field, void *base)
{
	struct error err;

	if (field->required)
		problem_add(reader, at, "is required");
	else if (field->preset && field->kind == FIELD_STRING)
		*(const char **)field_slot(field, base) = field->preset;
	else if (field->preset && field_read_text(field, base, field->preset, reader->scratch, &err))
		(void)problem_memory(
			reader, at, SIZE_MAX, 1); /* schema_check() took it, so it is memory that is wanting */
	else if (field->kind == FIELD_OBJECT && !field->pointer)
		read_fields(reader, at, field->of, 0, NULL, field_slot(field, base));
}

/*
 * The field of that name from `from` on, looked for first where the last one was followed: messages mostly keep our
 * order.
 */
static size_t find_field(const struct schema *schema, size_t from, size_t hint, const char *name)
{
	for (size_t i = hint; i < schema->n_fields; i++)
		if (!strcmp(field_name(&schema->fields[i]), name))
			return i;
	for (size_t i = from; i < hint; i++)
		if (!strcmp(field_name(&schema->fields[i]), name))
			return i;
	return schema->n_fields;
}

/* The members of an object; json may be NULL for one without any. */
static void read_fields(struct reader *reader, const struct place *at, const struct schema *schema, size_t from,
	const cJSON *json, void *out)
{
	uint64_t seen = 0, absent = 0;
	size_t hint = from;

	for (const cJSON *child = json ? json->child : NULL; child && !reader->full; child = child->next) {
		size_t i = find_field(schema, from, hint, child->string);
		const struct field *field = &schema->fields[i];
		struct place member = { .up = at, .name = child->string };

		if (i == schema->n_fields)
			continue;
		hint = i + 1;
		if (seen & (uint64_t)1 << i) {
			problem_add(reader, &member, "appears twice");
			continue;
		}
		seen |= (uint64_t)1 << i;
		if (!cJSON_IsNull(child) || !field->nullable)
			read_value(reader, &member, field, child, out);
		else if (!field->required)
			absent |= (uint64_t)1 << i;
	}
	for (size_t i = from; i < schema->n_fields && !reader->full; i++) {
		struct place member = { .up = at, .name = field_name(&schema->fields[i]) };

		if (!(seen & (uint64_t)1 << i) || absent & (uint64_t)1 << i)
			read_absent(reader, &member, &schema->fields[i], out);
	}
}

int schema_read(
	const struct schema *schema, const cJSON *json, void *out, struct scratch *scratch, struct problems *problems)
{
	struct reader reader = { scratch, problems, false };
	struct place top = { 0 };
	size_t before = problems->n;

	memset(out, 0, schema->size);
	read_item(&reader, &top, schema, 0, json, out);
	return problems->n == before ? 0 : -1;
}
