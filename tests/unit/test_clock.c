#include <stdio.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "clock.h"

static void reads_rfc_3339(void)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:00.000001Z", 1 },
		{ "1970-01-01t00:00:00.123456789z", 123456 },
		{ "1970-01-01 01:00:00.5+01:00", 500000 },
		{ "1969-12-31T19:00:00-05:00", 0 },
		{ "1969-12-31T23:59:59.999Z", -1000 },
		{ "2000-02-29T12:00:00Z", 951825600000000 },
		{ "2024-02-29T00:00:00Z", 1709164800000000 },
		{ "2026-01-31T12:00:00.123Z", 1769860800123000 },
		{ "2016-12-31T23:59:60Z", 1483228800000000 },
		{ "0000-01-01T00:00:00Z", -62167219200000000 },
		{ "9999-12-31T23:59:59.999999Z", 253402300799999999 },
	};
	int64_t us;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CHECK_INT(clock_parse(cases[i].text, &us), 0);
		if (!CHECK_INT(us, cases[i].us))
			fprintf(stderr, "\tfor %s\n", cases[i].text);
	}
}

static void refuses_what_is_no_time(void)
{
	static const char *const cases[] = { "", "2026", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00Z",
		"2026-1-31T12:00:00Z", "26-01-31T12:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-04-31T00:00:00Z", "2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z",
		"2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.0123456789Z", "2026-01-31T12:00:00,5Z",
		"2026-01-31T12:00:00+0100", "2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+01:60",
		"2026-01-31T12:00:00+1:00", "2026-01-31T12:00:00ZZ", "2026-01-31T12:00:00Z ", " 2026-01-31T12:00:00Z",
		"2026/01/31T12:00:00Z", "+026-01-31T12:00:00Z", "2026-01-31T1a:00:00Z", "1735460000",
		"0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t us = 77;

		if (!CHECK_INT(clock_parse(cases[i], &us), -1) || !CHECK_INT(us, 77))
			fprintf(stderr, "\tfor %s\n", cases[i]);
	}
}

/* Against the C library, a day at a time over the years that can be written. */
static void agrees_with_the_c_library(void)
{
	for (int64_t day = -719528; day < 2932897; day += 13) {
		time_t seconds = (time_t)(day * 86400 + day * 7919 % 86400);
		char ours[CLOCK_TEXT_MAX], theirs[64];
		struct tm parts;
		int64_t us;

		if (seconds < -62167219200 || seconds > 253402300799)
			continue;
		gmtime_r(&seconds, &parts);
		snprintf(theirs, sizeof(theirs), "%04d-%02d-%02dT%02d:%02d:%02d.000Z", parts.tm_year + 1900,
			parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
		if (!CHECK_STR(clock_format((int64_t)seconds * 1000000, ours), theirs))
			return;
		if (!CHECK_INT(clock_parse(ours, &us), 0) || !CHECK_INT(us, (int64_t)seconds * 1000000))
			return;
	}
}

static void formats_what_cannot_be_written_as_the_nearest(void)
{
	char buffer[CLOCK_TEXT_MAX];

	CHECK_STR(clock_format(INT64_MIN, buffer), "0000-01-01T00:00:00.000Z");
	CHECK_STR(clock_format(INT64_MAX, buffer), "9999-12-31T23:59:59.999Z");
	CHECK_STR(clock_format(-1, buffer), "1969-12-31T23:59:59.999Z");
}

static void time_goes_on(void)
{
	int64_t before_ms = clock_ms(), real_us = clock_real_us();

	clock_sleep_ms(20);
	CHECK(clock_ms() - before_ms >= 20);
	CHECK(clock_real_us() > real_us);
	clock_sleep_ms(0);
	clock_sleep_ms(-5);
	CHECK_INT(clock_left_ms(clock_ms() - 1), 0);
	CHECK_INT(clock_left_ms(INT64_MIN), 0);
	CHECK_INT(clock_left_ms(INT64_MAX), INT32_MAX);
	CHECK(clock_left_ms(clock_ms() + 1000) > 900);
}

static void jitter_stays_near(void)
{
	int least = INT32_MAX, most = 0;

	for (int i = 0; i < 2000; i++) {
		int ms = clock_jitter_ms(1000);

		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	CHECK(least >= 750 && least < 850);
	CHECK(most <= 1250 && most > 1150);
	CHECK_INT(clock_jitter_ms(0), 0);
	CHECK_INT(clock_jitter_ms(1), 1);
}

static const struct check_test tests[] = {
	CHECK_TEST(reads_rfc_3339),
	CHECK_TEST(refuses_what_is_no_time),
	CHECK_TEST(agrees_with_the_c_library),
	CHECK_TEST(formats_what_cannot_be_written_as_the_nearest),
	CHECK_TEST(time_goes_on),
	CHECK_TEST(jitter_stays_near),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
