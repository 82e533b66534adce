#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "utf8.h"

void text_release(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}

void text_reset(struct text *text)
{
	text->len = 0;
	if (text->bytes)
		text->bytes[0] = '\0';
}

const char *text_str(const struct text *text)
{
	return text->bytes ? text->bytes : "";
}

void text_reserve(struct text *text, size_t len)
{
	size_t need, cap = text->cap;

	if (len < text->cap - text->len)
		return;
	if (__builtin_add_overflow(text->len, len, &need) || __builtin_add_overflow(need, 1, &need))
		BUG("a text of %zu + %zu bytes", text->len, len);
	if (cap < 64)
		cap = 64;
	while (cap < need)
		cap += cap / 2;
	text->bytes = must_realloc(text->bytes, cap);
	text->bytes[text->len] = '\0';
	text->cap = cap;
}

void text_add(struct text *text, const void *bytes, size_t len)
{
	text_reserve(text, len);
	if (len)
		memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
}

void text_str_add(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_char(struct text *text, char c)
{
	text_add(text, &c, 1);
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args;
	int len;

	text_reserve(text, 1);
	va_start(args, format);
	len = vsnprintf(text->bytes + text->len, text->cap - text->len, format, args);
	va_end(args);
	if (len < 0)
		BUG("cannot format \"%s\"", format);
	if ((size_t)len >= text->cap - text->len) {
		text_reserve(text, (size_t)len);
		va_start(args, format);
		vsnprintf(text->bytes + text->len, text->cap - text->len, format, args);
		va_end(args);
	}
	text->len += (size_t)len;
}

/* JSON ------------------------------------------------------------------------------------------------------------- */

/* A value ends with a quote, a bracket, a digit or a letter; none of these can stand right before a first one. */
static void comma(struct text *text)
{
	char last = text->len ? text->bytes[text->len - 1] : '\n';

	if (last != '{' && last != '[' && last != ':' && last != ',' && last != '\n' && last != ' ')
		text_char(text, ',');
}

void json_open(struct text *text, char bracket)
{
	comma(text);
	text_char(text, bracket);
}

void json_close(struct text *text, char bracket)
{
	text_char(text, bracket);
}

/* 0: written as it is; 'u': \u00xx; 1: not ASCII; else the letter after the backslash. */
static const char escapes[256] = {
	[0x00 ... 0x07] = 'u',
	['\b'] = 'b',
	['\t'] = 't',
	['\n'] = 'n',
	[0x0b] = 'u',
	['\f'] = 'f',
	['\r'] = 'r',
	[0x0e ... 0x1f] = 'u',
	['"'] = '"',
	['\\'] = '\\',
	[0x80 ... 0xff] = 1,
};

/* Writes what is not plain at *from and steps over it. */
static void escape(struct text *text, const char **from, const char *end)
{
	unsigned char byte = (unsigned char)**from;
	char how = escapes[byte];
	size_t step;

	if (how == 1) {
		step = utf8_step(*from, (size_t)(end - *from));
		text_add(text, step ? *from : "\xef\xbf\xbd", step ? step : 3);
		*from += step ? step : 1;
		return;
	}
	if (how == 'u')
		text_printf(text, "\\u%04x", byte);
	else
		text_add(text, (const char[]){ '\\', how }, 2);
	(*from)++;
}

static void quoted(struct text *text, const char *string, size_t len)
{
	const char *end = string + len;

	text_reserve(text, len + 2);
	text_char(text, '"');
	while (string < end) {
		const char *plain = string;

		while (string < end && !escapes[(unsigned char)*string])
			string++;
		text_add(text, plain, (size_t)(string - plain));
		if (string < end)
			escape(text, &string, end);
	}
	text_char(text, '"');
}

void json_key(struct text *text, const char *key)
{
	comma(text);
	quoted(text, key, strlen(key));
	text_char(text, ':');
}

void json_int(struct text *text, int64_t value)
{
	char digits[24];
	char *to = digits + sizeof(digits);
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	comma(text);
	do {
		*--to = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (value < 0)
		*--to = '-';
	text_add(text, to, (size_t)(digits + sizeof(digits) - to));
}

void json_number(struct text *text, double value)
{
	char digits[32];

	if (!isfinite(value)) {
		json_null(text);
		return;
	}
	/* Whole numbers in full, as RFC 8785 has them; the sign of a zero is no difference of value. */
	if (fabs(value) < 9007199254740992.0 && value == (double)(int64_t)value) {
		json_int(text, (int64_t)value);
		return;
	}
	comma(text);
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	text_str_add(text, digits);
}

void json_bool(struct text *text, bool value)
{
	comma(text);
	text_str_add(text, value ? "true" : "false");
}

void json_null(struct text *text)
{
	comma(text);
	text_add(text, "null", 4);
}

void json_bytes(struct text *text, const char *string, size_t len)
{
	comma(text);
	quoted(text, string, len);
}

void json_string(struct text *text, const char *string)
{
	if (string)
		json_bytes(text, string, strlen(string));
	else
		json_null(text);
}

void json_raw(struct text *text, const char *json, size_t len)
{
	comma(text);
	text_add(text, json, len);
}

void json_key_int(struct text *text, const char *key, int64_t value)
{
	json_key(text, key);
	json_int(text, value);
}

void json_key_string(struct text *text, const char *key, const char *string)
{
	json_key(text, key);
	json_string(text, string);
}

void json_key_bool(struct text *text, const char *key, bool value)
{
	json_key(text, key);
	json_bool(text, value);
}
