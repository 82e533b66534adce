#include "json_scan.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

/* cJSON copies a number into 64 bytes and takes what does not fit for the next token. */
#define NUMBER_MAX 60
/* Any integer of 15 digits is a double. */
#define DOUBLE_DIGITS 15

/* Where the scanner stands, for messages: a key as it is spelled, or an index, and what holds it. */
struct place {
	const struct place *up;
	const char *key;
	size_t key_len;
	size_t index;
};

struct scan {
	const char *start, *at, *end;
	int depth;
	size_t numbers;
	struct scratch *scratch;
	struct exact_number **exact_end;
	struct error *err;
};

static int scan_value(struct scan *scan, const struct place *place);

static int not_json(struct scan *scan, const char *what)
{
	if (scan->at == scan->end)
		return error_set(scan->err, CODE_INVALID_JSON, "the text ends early, at byte %zu: %s",
			(size_t)(scan->at - scan->start), what);
	return error_set(scan->err, CODE_INVALID_JSON, "at byte %zu: %s", (size_t)(scan->at - scan->start) + 1, what);
}

static size_t place_text(const struct place *place, char *to, size_t size)
{
	size_t len = place->up ? place_text(place->up, to, size) : 0;
	int added;

	if (!place->up || len + 1 >= size)
		return len;
	if (place->key)
		added = snprintf(to + len, size - len, "%s%.*s", len ? "." : "",
			(int)(place->key_len < 64 ? place->key_len : 64), place->key);
	else
		added = snprintf(to + len, size - len, "%s%zu", len ? "." : "", place->index);
	return added > 0 && (size_t)added < size - len ? len + (size_t)added : size - 1;
}

/* JSON, but nothing that can be taken. */
static int refused(struct scan *scan, const struct place *place, const char *what)
{
	char path[160] = "";

	place_text(place, path, sizeof(path));
	return error_set_field(scan->err, CODE_INVALID_PAYLOAD, path, what);
}

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end &&
		(*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
		scan->at++;
}

static bool take(struct scan *scan, char c)
{
	if (scan->at == scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

/* The value of four hexadecimal digits, which are stepped over; -1 when they are not there. */
static int take_hex4(struct scan *scan)
{
	int value = 0;

	for (int i = 0; i < 4; i++, scan->at++) {
		char c = scan->at < scan->end ? *scan->at : '\0';

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* After "\u". */
static int scan_code_unit(struct scan *scan, const struct place *place)
{
	int unit = take_hex4(scan);

	if (unit < 0)
		return not_json(scan, "four hexadecimal digits must follow \\u");
	if (unit == 0)
		return refused(scan, place, "must not contain U+0000");
	if ((unit & 0xf800) != 0xd800)
		return 0;
	if (unit >= 0xdc00 || scan->end - scan->at < 2 || scan->at[0] != '\\' || scan->at[1] != 'u')
		return refused(scan, place, "must not contain half a surrogate pair");
	scan->at += 2;
	unit = take_hex4(scan);
	if (unit < 0)
		return not_json(scan, "four hexadecimal digits must follow \\u");
	if ((unit & 0xfc00) != 0xdc00)
		return refused(scan, place, "must not contain half a surrogate pair");
	return 0;
}

static int scan_escape(struct scan *scan, const struct place *place)
{
	if (scan->at == scan->end || !strchr("\"\\/bfnrtu", *scan->at) || !*scan->at)
		return not_json(scan, "no such escape");
	return *scan->at++ == 'u' ? scan_code_unit(scan, place) : 0;
}

/* Bytes of a string that need a look: control characters, the quote, the backslash, what is not ASCII. */
static const bool special[256] = {
	[0x00 ... 0x1f] = true,
	['"'] = true,
	['\\'] = true,
	[0x80 ... 0xff] = true,
};

/* From the opening quote past the closing one. */
static int scan_string(struct scan *scan, const struct place *place)
{
	scan->at++;
	for (;;) {
		unsigned char byte;
		size_t step;

		while (scan->at < scan->end && !special[(unsigned char)*scan->at])
			scan->at++;
		if (scan->at == scan->end)
			return not_json(scan, "the string is not closed");
		byte = (unsigned char)*scan->at;
		if (byte < 0x20)
			return not_json(scan, "a control character in a string must be escaped");
		step = utf8_step(scan->at, (size_t)(scan->end - scan->at));
		if (!step)
			return not_json(scan, "not valid UTF-8");
		scan->at += step;
		if (byte == '"')
			return 0;
		if (byte == '\\' && scan_escape(scan, place))
			return -1;
	}
}

static size_t skip_digits(struct scan *scan)
{
	const char *from = scan->at;

	while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
		scan->at++;
	return (size_t)(scan->at - from);
}

/* Fractions and exponents; *powers when there was an exponent. */
static int scan_rest_of_number(struct scan *scan, bool *powers)
{
	if (take(scan, '.') && !skip_digits(scan))
		return not_json(scan, "a digit must follow the decimal point");
	*powers = take(scan, 'e') || take(scan, 'E');
	if (!*powers)
		return 0;
	if (!take(scan, '-'))
		take(scan, '+');
	return skip_digits(scan) ? 0 : not_json(scan, "a digit must follow the exponent's sign");
}

/* -1 when the scratch is full. */
static int keep_exact(struct scan *scan, const char *text, size_t len)
{
	struct exact_number *number = scratch_try(scan->scratch, sizeof(*number));

	if (!number)
		return -1;
	number->ordinal = scan->numbers;
	number->text = text;
	number->len = len;
	*scan->exact_end = number;
	scan->exact_end = &number->next;
	return 0;
}

static bool is_finite(const char *text, size_t len)
{
	char copy[NUMBER_MAX + 1];

	memcpy(copy, text, len);
	copy[len] = '\0';
	return isfinite(strtod(copy, NULL));
}

static int scan_number(struct scan *scan, const struct place *place)
{
	const char *from = scan->at;
	const char *digits;
	bool powers = false, whole;
	size_t n;

	take(scan, '-');
	digits = scan->at;
	n = skip_digits(scan);
	if (!n)
		return not_json(scan, "a digit must follow the minus sign");
	if (n > 1 && *digits == '0') {
		scan->at = digits + 1;
		return not_json(scan, "a number must not begin with 0");
	}
	whole = scan->at == scan->end || (*scan->at != '.' && (*scan->at | 0x20) != 'e');
	if (scan_rest_of_number(scan, &powers))
		return -1;
	if (scan->at - from > NUMBER_MAX)
		return refused(scan, place, "a number must not be longer than 60 characters");
	if (powers && !is_finite(from, (size_t)(scan->at - from)))
		return refused(scan, place, "the number is too large");
	if (whole && n > DOUBLE_DIGITS && keep_exact(scan, from, (size_t)(scan->at - from)))
		return refused(scan, place, "message too large");
	scan->numbers++;
	return 0;
}

static int scan_word(struct scan *scan, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
		return not_json(scan, "expected a value");
	scan->at += len;
	return 0;
}

static int scan_array(struct scan *scan, const struct place *place)
{
	struct place item = { .up = place };

	skip_space(scan);
	if (take(scan, ']'))
		return 0;
	for (;; item.index++) {
		if (scan_value(scan, &item))
			return -1;
		if (take(scan, ']'))
			return 0;
		if (!take(scan, ','))
			return not_json(scan, "expected a comma or ]");
	}
}

static int scan_object(struct scan *scan, const struct place *place)
{
	struct place member = { .up = place };

	skip_space(scan);
	if (take(scan, '}'))
		return 0;
	for (;;) {
		skip_space(scan);
		if (scan->at == scan->end || *scan->at != '"')
			return not_json(scan, "expected a name in quotes");
		member.key = scan->at + 1;
		if (scan_string(scan, place))
			return -1;
		member.key_len = (size_t)(scan->at - member.key) - 1;
		skip_space(scan);
		if (!take(scan, ':'))
			return not_json(scan, "expected a colon");
		if (scan_value(scan, &member))
			return -1;
		if (take(scan, '}'))
			return 0;
		if (!take(scan, ','))
			return not_json(scan, "expected a comma or }");
	}
}

static int scan_nested(struct scan *scan, const struct place *place)
{
	int rc;

	if (scan->depth == JSON_DEPTH_MAX)
		return refused(scan, place, "nested too deep: more than 32 levels");
	scan->depth++;
	rc = *scan->at++ == '{' ? scan_object(scan, place) : scan_array(scan, place);
	scan->depth--;
	return rc;
}

/* A value and the white space around it. Recursion ends at JSON_DEPTH_MAX. */
static int scan_value(struct scan *scan, const struct place *place)
{
	int rc;

	skip_space(scan);
	if (scan->at == scan->end)
		return not_json(scan, "expected a value");
	switch (*scan->at) {
	case '{':
	case '[':
		rc = scan_nested(scan, place);
		break;
	case '"':
		rc = scan_string(scan, place);
		break;
	case 't':
		rc = scan_word(scan, "true");
		break;
	case 'f':
		rc = scan_word(scan, "false");
		break;
	case 'n':
		rc = scan_word(scan, "null");
		break;
	case '-':
	case '0' ... '9':
		rc = scan_number(scan, place);
		break;
	default:
		rc = not_json(scan, "expected a value");
	}
	skip_space(scan);
	return rc;
}

int json_scan(const char *text, size_t len, struct scratch *scratch, struct exact_number **exact, struct error *err)
{
	static const struct place root;
	struct scan scan = { text, text, text + len, 0, 0, scratch, exact, err };

	*exact = NULL;
	if (scan_value(&scan, &root))
		return -1;
	return scan.at == scan.end ? 0 : not_json(&scan, "only one value may be there");
}
