#include "field_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "duration.h"
#include "utf8.h"

const char *field_name(const struct field *field)
{
	return field->as ? field->as : field->name;
}

const struct field *schema_bare(const struct schema *schema, size_t from)
{
	if (schema->n_fields != from + 1 || field_name(&schema->fields[from])[0])
		return NULL;
	return &schema->fields[from];
}

void field_limits(const struct field *field, int64_t *min, int64_t *max)
{
	bool number = field->kind == FIELD_INT || field->kind == FIELD_OPT_INT || field->kind == FIELD_NUMBER;
	bool none = !field->min && !field->max;

	*min = none ? (number ? -INT_LIMIT : 0) : field->min;
	*max = none || field->max < field->min ? INT_LIMIT : field->max;
}

static bool fails(char reason[static REASON_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fails(char reason[static REASON_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, REASON_MAX, format, args);
	va_end(args);
	return false;
}

/* A limit as the setting is spelled. */
static const char *limit_text(const struct field *field, int64_t limit, char buffer[static DURATION_TEXT_MAX])
{
	if (field->unit == UNIT_MS && limit >= 0)
		return duration_format(limit, buffer);
	snprintf(buffer, DURATION_TEXT_MAX, "%lld", (long long)limit);
	return buffer;
}

bool field_number_fits(const struct field *field, double value, char reason[static REASON_MAX])
{
	char low[DURATION_TEXT_MAX], high[DURATION_TEXT_MAX];
	bool unlimited = field->kind == FIELD_NUMBER && !field->min && !field->max;
	int64_t min, max;

	field_limits(field, &min, &max);
	if (unlimited || (value >= (double)min && value <= (double)max))
		return true;
	limit_text(field, min, low);
	limit_text(field, max, high);
	if (min == max)
		return fails(reason, "must be %s", low);
	if (max == INT_LIMIT && min != -INT_LIMIT && value < (double)min)
		return fails(reason, "must be at least %s", low);
	if (min == -INT_LIMIT && max != INT_LIMIT && value > (double)max)
		return fails(reason, "must be at most %s", high);
	return fails(reason, "must be between %s and %s", low, high);
}

/* "must be 3 to 64 characters long", "must have at least 1 entry". */
static bool size_fits(const struct field *field, int64_t n, const char *const words[4], char reason[static REASON_MAX])
{
	const char *verb = words[0], *one = words[1], *many = words[2], *after = words[3];
	int64_t min, max;

	field_limits(field, &min, &max);
	if (n >= min && n <= max)
		return true;
	if (min == max)
		return fails(reason, "must %s exactly %lld %s%s", verb, (long long)min, min == 1 ? one : many, after);
	if (min == 1 && !n)
		return fails(reason, "must not be empty");
	if (max == INT_LIMIT)
		return fails(reason, "must %s at least %lld %s%s", verb, (long long)min, min == 1 ? one : many, after);
	if (!min)
		return fails(reason, "must %s at most %lld %s%s", verb, (long long)max, max == 1 ? one : many, after);
	return fails(reason, "must %s %lld to %lld %s%s", verb, (long long)min, (long long)max, many, after);
}

bool field_length_fits(const struct field *field, const char *value, char reason[static REASON_MAX])
{
	static const char *const words[4] = { "be", "character", "characters", " long" };

	if (!field->min && !field->max)
		return true;
	return size_fits(field, (int64_t)utf8_length(value), words, reason);
}

bool field_count_fits(const struct field *field, size_t n, char reason[static REASON_MAX])
{
	static const char *const words[4] = { "have", "entry", "entries", "" };

	return size_fits(field, (int64_t)n, words, reason);
}

int field_choice(const struct field *field, const char *value, char reason[static REASON_MAX])
{
	size_t len;

	for (size_t i = 0; value && i < field->n_choices; i++)
		if (!strcmp(field->choices[i], value))
			return (int)i;
	len = (size_t)snprintf(reason, REASON_MAX, "must be one of ");
	for (size_t i = 0; i < field->n_choices && len < REASON_MAX; i++) {
		int added = snprintf(reason + len, REASON_MAX - len, "%s%s", i ? ", " : "", field->choices[i]);

		len += (size_t)added;
	}
	return -1;
}

/* Decimal without plus sign, leading zeros or -0, of at most 16 digits. */
static bool canonical_int(const char *text, int64_t *value)
{
	const char *digits = *text == '-' ? text + 1 : text;
	size_t n = strspn(digits, "0123456789");

	if (!n || n > 16 || digits[n] || (*digits == '0' && (n > 1 || digits != text)))
		return false;
	*value = 0;
	for (size_t i = 0; i < n; i++)
		*value = *value * 10 + (digits[i] - '0');
	if (digits != text)
		*value = -*value;
	return true;
}

bool field_read_key(const struct field *key, const char *text, void *slot, char reason[static REASON_MAX])
{
	int64_t *number = slot;
	const char **string = slot;

	switch (key->kind) {
	case FIELD_INT:
		if (!canonical_int(text, number))
			return fails(reason, "the key must be a whole number in decimal");
		if (field_number_fits(key, (double)*number, reason))
			return true;
		break;
	case FIELD_UUID:
		return !uuid_parse(text, slot) || fails(reason, "the key must be a UUID");
	default:
		*string = text;
		if (field_length_fits(key, text, reason))
			return true;
	}
	/* "must be …" is said of the key here. */
	memmove(reason + 8, reason, REASON_MAX - 8);
	memcpy(reason, "the key ", 8);
	reason[REASON_MAX - 1] = '\0';
	return false;
}

const char *field_key_text(const struct field *key, const void *base, char buffer[static FIELD_KEY_MAX])
{
	const void *slot = field_slot_const(key, base);
	const char *string;

	switch (key->kind) {
	case FIELD_INT:
		snprintf(buffer, FIELD_KEY_MAX, "%lld", (long long)*(const int64_t *)slot);
		return buffer;
	case FIELD_UUID:
		return uuid_format(slot, buffer);
	default:
		string = *(const char *const *)slot;
		if (!string)
			BUG("a map with an entry whose %s is NULL", key->name);
		return string;
	}
}

int field_compare_keys(const struct field *key, const void *a, const void *b)
{
	const void *first = field_slot_const(key, a), *second = field_slot_const(key, b);
	const int64_t *m, *n;

	switch (key->kind) {
	case FIELD_INT:
		m = first;
		n = second;
		return (*m > *n) - (*m < *n);
	case FIELD_UUID:
		return uuid_compare(first, second);
	default:
		return strcmp(*(const char *const *)first, *(const char *const *)second);
	}
}
