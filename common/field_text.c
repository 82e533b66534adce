#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "duration.h"
#include "field.h"
#include "field_rules.h"
#include "utf8.h"

#define SHOWN_MAX 80

/* The text being read, and how to complain of it. */
struct source {
	const struct field *field;
	const char *text;
	struct scratch *scratch;
	struct error *err;
};

static int wrong(const struct source *source, const char *reason)
{
	if (source->field->secret)
		return error_set(source->err, CODE_INVALID_PAYLOAD, "the value %s", reason);
	return error_set(source->err, CODE_INVALID_PAYLOAD, "\"%.*s\" %s", (int)utf8_cut(source->text, SHOWN_MAX),
		source->text, reason);
}

static int read_bool(const struct source *source, bool *value)
{
	static const char *const words[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(source->text, words[i]) != 0)
			continue;
		*value = i & 1;
		return 0;
	}
	return wrong(source, "must be on or off");
}

static int read_duration(const struct source *source, int64_t *value)
{
	return duration_parse(source->text, value)
		       ? wrong(source, "is not a duration (a whole number and its unit: 500ms, 10s, 6m, 24h, 30d)")
		       : 0;
}

static int read_whole(const struct source *source, int64_t *value)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(source->text, &end, 10);
	/* strtoll would skip white space and take a plus sign. */
	if (errno || *end || !strchr("-0123456789", source->text[0]) || end == source->text)
		return wrong(source, "is not a whole number");
	*value = number;
	return 0;
}

static int read_int(const struct source *source, int64_t *value)
{
	const struct field *field = source->field;
	char reason[REASON_MAX];
	int64_t number = 0;

	if (field->unit == UNIT_OFF && !strcmp(source->text, "off")) {
		*value = 0;
		return 0;
	}
	if (field->unit == UNIT_MS ? read_duration(source, &number) : read_whole(source, &number))
		return -1;
	if (!field_number_fits(field, (double)number, reason))
		return wrong(source, reason);
	*value = number;
	return 0;
}

static int read_number(const struct source *source, double *value)
{
	char reason[REASON_MAX];
	char *end;
	double number = strtod(source->text, &end);

	if (end == source->text || *end || !strchr("-.0123456789", source->text[0]) || !isfinite(number))
		return wrong(source, "is not a number");
	if (!field_number_fits(source->field, number, reason))
		return wrong(source, reason);
	*value = number;
	return 0;
}

static char *copied(const struct source *source, const char *text, size_t len)
{
	char *copy = scratch_try(source->scratch, len + 1);

	if (copy)
		memcpy(copy, text, len);
	else
		wrong(source, "is too large");
	return copy;
}

static int read_string(const struct source *source, const char **value)
{
	size_t len = strlen(source->text);
	char reason[REASON_MAX];
	const char *copy;

	if (!utf8_valid(source->text, len))
		return error_set(source->err, CODE_INVALID_PAYLOAD, "the value is not valid UTF-8");
	if (!field_length_fits(source->field, source->text, reason))
		return wrong(source, reason);
	copy = copied(source, source->text, len);
	if (!copy)
		return -1;
	*value = copy;
	return 0;
}

static int read_enum(const struct source *source, int *value)
{
	char reason[REASON_MAX];
	int choice = field_choice(source->field, source->text, reason);

	if (choice < 0)
		return wrong(source, reason);
	*value = choice;
	return 0;
}

static int read_json(const struct source *source, struct json_text *value)
{
	size_t len = strlen(source->text);
	struct error why;
	char *copy;

	if (!json_parse(source->text, len, source->scratch, &why))
		return wrong(source, "is not JSON");
	copy = copied(source, source->text, len);
	if (!copy)
		return -1;
	*value = (struct json_text){ copy, len };
	return 0;
}

/* Splits at commas, in a copy; entries lose the white space around them. */
static int read_entries(const struct source *source, const struct field *bare, char *at, struct list *list)
{
	char *item = list->items;

	for (char *next = at; next; at = next, item += source->field->of->size) {
		struct error why;
		size_t len;

		next = strchr(at, ',');
		if (next)
			*next++ = '\0';
		at += strspn(at, " \t");
		len = strlen(at);
		while (len && (at[len - 1] == ' ' || at[len - 1] == '\t'))
			at[--len] = '\0';
		if (!len)
			return wrong(source, "has an empty entry");
		if (field_read_text(bare, item, at, source->scratch, &why))
			return error_set(source->err, why.code, "%s", why.text);
	}
	return 0;
}

static int read_list(const struct source *source, struct list *value)
{
	const struct schema *of = source->field->of;
	size_t n = source->text[0] ? 1 : 0;
	struct list list = { 0 };
	char reason[REASON_MAX];
	struct field bare;
	char *copy;

	if (!schema_bare(of, 0))
		BUG("%s: a list of objects has no spelling in a setting", source->field->name);
	bare = of->fields[0];
	bare.secret |= source->field->secret;
	for (const char *c = source->text; *c; c++)
		n += *c == ',';
	if (!field_count_fits(source->field, n, reason))
		return wrong(source, reason);
	copy = copied(source, source->text, strlen(source->text));
	if (!copy)
		return -1;
	list.n = n;
	list.items = n ? scratch_try(source->scratch, n * of->size) : NULL;
	if (n && !list.items)
		return wrong(source, "is too large");
	if (n && read_entries(source, &bare, copy, &list))
		return -1;
	*value = list;
	return 0;
}

int field_read_text(const struct field *field, void *out, const char *text, struct scratch *scratch, struct error *err)
{
	struct source source = { field, text, scratch, err };
	void *slot = field_slot(field, out);
	struct opt_int *optional = slot;
	struct timestamp *time = slot;

	switch (field->kind) {
	case FIELD_BOOL:
		return read_bool(&source, slot);
	case FIELD_INT:
		return read_int(&source, slot);
	case FIELD_OPT_INT:
		optional->set = !read_int(&source, &optional->value);
		return optional->set ? 0 : -1;
	case FIELD_NUMBER:
		return read_number(&source, slot);
	case FIELD_STRING:
		return read_string(&source, slot);
	case FIELD_ENUM:
		return read_enum(&source, slot);
	case FIELD_UUID:
		return uuid_parse(text, slot) ? wrong(&source, "is not a UUID") : 0;
	case FIELD_TIME:
		return clock_parse(text, &time->us) ? wrong(&source, "is not a time such as 2026-01-31T12:00:00Z") : 0;
	case FIELD_JSON:
		return read_json(&source, slot);
	case FIELD_LIST:
		return read_list(&source, slot);
	case FIELD_MAP:
	case FIELD_OBJECT:
		break;
	}
	BUG("%s: a field of kind %d has no spelling in a setting", field->name, (int)field->kind);
}

void schema_preset(const struct schema *schema, void *out, struct scratch *scratch)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];
		struct error err;

		if (field->kind == FIELD_OBJECT && !field->pointer)
			schema_preset(field->of, field_slot(field, out), scratch);
		else if (field->preset && field_read_text(field, out, field->preset, scratch, &err))
			BUG("the preset of %s.%s: %s", schema->name ? schema->name : "schema", field->name, err.text);
	}
}
