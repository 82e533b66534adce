#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "text.h"

static void grows(void)
{
	CLEANUP(text_release) struct text text = { 0 };

	CHECK_STR(text_str(&text), "");
	text_add(&text, "", 0);
	CHECK_STR(text_str(&text), "");
	for (int i = 0; i < 10000; i++)
		text_char(&text, (char)('a' + i % 26));
	CHECK_INT(text.len, 10000);
	CHECK_INT(strlen(text.bytes), 10000);
	text_printf(&text, "%s", "tail");
	CHECK_STR(text.bytes + 10000, "tail");
	text_reset(&text);
	CHECK_STR(text_str(&text), "");
	text_printf(&text, "%0200d", 7);
	CHECK_INT(text.len, 200);
}

/* printf at every fill of the buffer, so that one of them ends just at its end. */
static void printf_fits_exactly(void)
{
	for (int fill = 0; fill < 130; fill++) {
		CLEANUP(text_release) struct text text = { 0 };

		for (int i = 0; i < fill; i++)
			text_char(&text, 'x');
		text_printf(&text, "%d", 12345);
		CHECK_INT(text.len, fill + 5);
		CHECK_STR(text.bytes + fill, "12345");
	}
}

static void commas_come_by_themselves(void)
{
	CLEANUP(text_release) struct text text = { 0 };

	json_open(&text, '{');
	json_key(&text, "a");
	json_open(&text, '[');
	json_int(&text, INT64_MIN);
	json_int(&text, INT64_MAX);
	json_null(&text);
	json_bool(&text, true);
	json_string(&text, ",");
	json_string(&text, NULL);
	json_open(&text, '[');
	json_close(&text, ']');
	json_open(&text, '{');
	json_close(&text, '}');
	json_raw(&text, "{\"x\":1}", 7);
	json_number(&text, 0.5);
	json_close(&text, ']');
	json_key_string(&text, "{", "[:");
	json_key_bool(&text, "c", false);
	json_key_int(&text, "d", 0);
	json_close(&text, '}');
	CHECK_STR(text_str(&text), "{\"a\":[-9223372036854775808,9223372036854775807,null,true,\",\",null,[],{},"
				   "{\"x\":1},0.5],\"{\":\"[:\",\"c\":false,\"d\":0}");
	text_char(&text, '\n');
	json_open(&text, '{');
	CHECK_STR(strchr(text.bytes, '\n') + 1, "{");
}

static void strings_are_always_json(void)
{
	static const char *const cases[][2] = {
		{ "plain", "\"plain\"" },
		{ "\"\\/\b\f\n\r\t\x01\x1f\x7f", "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"" },
		{ "Ж€😀", "\"Ж€😀\"" },
		{ "a\xff", "\"a\xef\xbf\xbd\"" },
		{ "\xc3(", "\"\xef\xbf\xbd(\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(text_release) struct text text = { 0 };

		json_string(&text, cases[i][0]);
		CHECK_STR(text_str(&text), cases[i][1]);
	}
}

static void bytes_may_hold_nul(void)
{
	CLEANUP(text_release) struct text text = { 0 };

	json_bytes(&text, "a\0b", 3);
	CHECK_STR(text_str(&text), "\"a\\u0000b\"");
}

static void numbers_read_back_the_same(void)
{
	static const double values[] = { 0.1, 1.0 / 3, 1e300, -2.2250738585072014e-308, 4.9e-324, 9007199254740993.0,
		123456789.123456789, 1e21, 5e-5, 1e15 + 0.5 };

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		CLEANUP(text_release) struct text text = { 0 };

		json_number(&text, values[i]);
		CHECK(strtod(text.bytes, NULL) == values[i]);
	}
	for (int i = 0; i < 3; i++) {
		CLEANUP(text_release) struct text text = { 0 };

		json_number(&text, i == 0 ? (double)NAN : i == 1 ? (double)INFINITY : -0.0);
		CHECK_STR(text.bytes, i == 2 ? "0" : "null");
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(grows),
	CHECK_TEST(printf_fits_exactly),
	CHECK_TEST(commas_come_by_themselves),
	CHECK_TEST(strings_are_always_json),
	CHECK_TEST(bytes_may_hold_nul),
	CHECK_TEST(numbers_read_back_the_same),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
