/* Percent-encoding and hexadecimal digits. */
#include "check.h"
#include "percent.h"

#include <stdio.h>
#include <string.h>

static void decoded(void)
{
	static const struct {
		const char *from, *to;
		bool plus_is_space;
	} cases[] = {
		{ "", "", false },
		{ "plain", "plain", false },
		{ "a%20b%2Fc%2f", "a b/c/", false },
		{ "a+b", "a+b", false },
		{ "a+b%2B", "a b+", true },
		{ "%d0%a8", "\xd0\xa8", false },
		{ "%01%ff", "\x01\xff", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[32];

		snprintf(text, sizeof(text), "%s", cases[i].from);
		CHECK(percent_decode(text, strlen(text), cases[i].plus_is_space, text));
		CHECK_STR(text, cases[i].to);
	}
}

static void refused(void)
{
	static const char *const cases[] = { "%", "a%", "%4", "%4g", "%g4", "%%41", "%00", "% 4", "%+4" };
	char out[32];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK(!percent_decode(cases[i], strlen(cases[i]), false, out));
	/* What follows the given length is not read. */
	CHECK(!percent_decode("%41", 2, false, out));
}

static void digits(void)
{
	CHECK_INT(hex_digit('0'), 0);
	CHECK_INT(hex_digit('f'), 15);
	CHECK_INT(hex_digit('A'), 10);
	CHECK_INT(hex_digit('g'), -1);
	CHECK_INT(hex_digit('\0'), -1);
	CHECK_INT(hex_digit('\xe9'), -1);
}

static const struct check_test tests[] = {
	CHECK_TEST(decoded),
	CHECK_TEST(refused),
	CHECK_TEST(digits),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
