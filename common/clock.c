#include "clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#define DAY_S 86400

int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_ms(void)
{
	return clock_us() / 1000;
}

int64_t clock_real_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int clock_left_ms(int64_t deadline_ms)
{
	int64_t now_ms = clock_ms();

	if (deadline_ms <= now_ms)
		return 0;
	/* Both are not negative where it matters, so the difference cannot overflow. */
	return deadline_ms - now_ms > INT32_MAX ? INT32_MAX : (int)(deadline_ms - now_ms);
}

/* Quotient and remainder rounded towards minus infinity, so that times before 1970 come out right. */
static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/*
 * Days since 1970 and the civil date (Howard Hinnant's arithmetic on eras of 400 years that begin in March). Written
 * out because gmtime_r takes the C library's time-zone lock, and every log line needs a date.
 */
static int64_t days_of_date(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_of_days(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t d = z - era * 146097;
	int64_t year_of_era = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	int64_t day_of_year = d - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t m = (5 * day_of_year + 2) / 153;

	*day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

/* The years that RFC 3339 can write. */
#define FIRST_US ((int64_t)-62167219200 * 1000000)
#define LAST_US ((int64_t)253402300799 * 1000000 + 999999)

static char *put_digits(char *to, int value, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		to[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return to + n;
}

char *clock_format(int64_t real_us, char buffer[static CLOCK_TEXT_MAX])
{
	int64_t us = real_us < FIRST_US ? FIRST_US : real_us > LAST_US ? LAST_US : real_us;
	int64_t seconds = floor_div(us, 1000000);
	int64_t days = floor_div(seconds, DAY_S);
	int of_day = (int)(seconds - days * DAY_S);
	int year, month, day;
	char *to;

	date_of_days(days, &year, &month, &day);
	to = put_digits(buffer, year, 4);
	*to++ = '-';
	to = put_digits(to, month, 2);
	*to++ = '-';
	to = put_digits(to, day, 2);
	*to++ = 'T';
	to = put_digits(to, of_day / 3600, 2);
	*to++ = ':';
	to = put_digits(to, of_day / 60 % 60, 2);
	*to++ = ':';
	to = put_digits(to, of_day % 60, 2);
	*to++ = '.';
	to = put_digits(to, (int)((us - seconds * 1000000) / 1000), 3);
	*to++ = 'Z';
	*to = '\0';
	return buffer;
}

/* Reads exactly n digits, then the character after them unless it is 0; -1 when they are not there. */
static int take_digits(const char **text, int n, char then)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return -1;
		value = value * 10 + **text - '0';
	}
	if (then && *(*text)++ != then)
		return -1;
	return value;
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

static int take_date(const char **text, int64_t *days)
{
	int year = take_digits(text, 4, '-');
	int month = year < 0 ? -1 : take_digits(text, 2, '-');
	int day = month < 0 ? -1 : take_digits(text, 2, '\0');

	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return -1;
	*days = days_of_date(year, month, day);
	return 0;
}

static int take_time(const char **text, int64_t *us)
{
	int hour = take_digits(text, 2, ':');
	int minute = hour < 0 ? -1 : take_digits(text, 2, ':');
	int second = minute < 0 ? -1 : take_digits(text, 2, '\0');
	int64_t fraction_us = 0;

	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return -1;
	if (**text == '.') {
		int digits = 0;

		for ((*text)++; **text >= '0' && **text <= '9'; (*text)++, digits++)
			if (digits < 6)
				fraction_us = fraction_us * 10 + **text - '0';
		if (digits < 1 || digits > 9)
			return -1;
		for (; digits < 6; digits++)
			fraction_us *= 10;
	}
	*us = ((int64_t)hour * 3600 + minute * 60 + second) * 1000000 + fraction_us;
	return 0;
}

static int take_offset(const char **text, int64_t *us)
{
	int sign = **text == '-' ? -1 : 1;
	int hours, minutes;

	if (**text == 'Z' || **text == 'z') {
		(*text)++;
		*us = 0;
		return 0;
	}
	if (**text != '+' && **text != '-')
		return -1;
	(*text)++;
	hours = take_digits(text, 2, ':');
	minutes = hours < 0 ? -1 : take_digits(text, 2, '\0');
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return -1;
	*us = (int64_t)sign * (hours * 60 + minutes) * 60 * 1000000;
	return 0;
}

int clock_parse(const char *text, int64_t *real_us)
{
	int64_t days, time_us, offset_us, us;

	if (take_date(&text, &days))
		return -1;
	if (*text != 'T' && *text != 't' && *text != ' ')
		return -1;
	text++;
	if (take_time(&text, &time_us) || take_offset(&text, &offset_us) || *text)
		return -1;
	us = days * DAY_S * 1000000 + time_us - offset_us;
	/* An offset may lead out of the years that can be written again. */
	if (us < FIRST_US || us > LAST_US)
		return -1;
	*real_us = us;
	return 0;
}

void clock_sleep_ms(int ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	if (ms <= 0)
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

int clock_jitter_ms(int ms)
{
	uint32_t random = 0;
	int64_t spread = ms / 2;

	/* Without random bytes the middle of the range is good enough. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		return ms;
	return (int)(ms - ms / 4 + spread * (int64_t)(random & 0xffff) / 0xffff);
}
