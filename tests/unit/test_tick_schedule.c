/* link: services/tick/schedule.c */
#include "services/tick/schedule.h"
#include "tests/unit/check.h"

#define SECOND INT64_C(1000000)

static const int64_t start_us = INT64_C(1767182400123000);

static struct schedule every(int64_t interval_us, int64_t due_us)
{
	return (struct schedule){ .started_us = start_us, .due_us = start_us + due_us, .interval_us = interval_us };
}

static void nothing_is_due_before_its_time(void)
{
	struct schedule s = every(10 * SECOND, 10 * SECOND);
	struct advance a = { .passed = 77 };

	CHECK(!schedule_advance(&s, s.due_us - 1, &a));
	CHECK_INT(a.passed, 77);
}

static void a_due_time_counts_from_its_own_microsecond_on(void)
{
	struct schedule s = every(10 * SECOND, 10 * SECOND);
	struct advance a;

	CHECK(schedule_advance(&s, s.due_us, &a));
	CHECK_INT(a.passed, 1);
	CHECK_INT(a.last_us, start_us + 10 * SECOND);
	CHECK_INT(a.next_us, start_us + 20 * SECOND);
	CHECK(!a.ended);
	CHECK(schedule_advance(&s, start_us + 20 * SECOND - 1, &a));
	CHECK_INT(a.passed, 1);
	CHECK_INT(a.next_us, start_us + 20 * SECOND);
	CHECK(schedule_advance(&s, start_us + 20 * SECOND, &a));
	CHECK_INT(a.passed, 2);
	CHECK_INT(a.last_us, start_us + 20 * SECOND);
	CHECK_INT(a.next_us, start_us + 30 * SECOND);
}

static void a_long_outage_is_counted_whole(void)
{
	struct schedule s = every(10 * SECOND, 10 * SECOND);
	struct advance a;

	CHECK(schedule_advance(&s, start_us + 86400 * SECOND + 3, &a));
	CHECK_INT(a.passed, 8640);
	CHECK_INT(a.last_us, start_us + 86400 * SECOND);
	CHECK_INT(a.next_us, start_us + 86410 * SECOND);
}

/* However often it is looked at, no due time is passed over or counted twice, and the grid never drifts. */
static void every_due_time_is_passed_once(void)
{
	struct schedule s = every(7 * SECOND, 7 * SECOND);
	struct advance a;
	int64_t now_us = start_us, counted = 0, last_us = start_us;
	uint64_t random = 42;

	for (int i = 0; i < 100000; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		now_us += (int64_t)(random >> 33) % (20 * SECOND);
		if (!schedule_advance(&s, now_us, &a))
			continue;
		CHECK_INT(schedule_due(&s, 0), s.due_us);
		CHECK_INT(schedule_due(&s, a.passed - 1), a.last_us);
		CHECK_INT(schedule_due(&s, a.passed), a.next_us);
		CHECK_INT(s.due_us, last_us + s.interval_us);
		CHECK(a.last_us <= now_us && a.next_us > now_us);
		counted += a.passed;
		last_us = a.last_us;
		s.due_us = a.next_us;
	}
	CHECK_INT(counted, (now_us - start_us) / s.interval_us);
	CHECK_INT((s.due_us - start_us) % s.interval_us, 0);
}

static void a_changed_interval_takes_hold_behind_the_due_time_that_is_fixed(void)
{
	/* Fixed at 12 minutes by an interval of 6, now 5: the grid goes on at 15, 20 … */
	struct schedule s = every(300 * SECOND, 720 * SECOND);
	struct advance a;

	CHECK(schedule_advance(&s, start_us + 721 * SECOND, &a));
	CHECK_INT(a.passed, 1);
	CHECK_INT(a.last_us, start_us + 720 * SECOND);
	CHECK_INT(a.next_us, start_us + 900 * SECOND);
	CHECK(schedule_advance(&s, start_us + 1250 * SECOND, &a));
	CHECK_INT(a.passed, 3); /* 12, 15, 20 */
	CHECK_INT(a.last_us, start_us + 1200 * SECOND);
	CHECK_INT(a.next_us, start_us + 1500 * SECOND);
	CHECK_INT(schedule_due(&s, 1), start_us + 900 * SECOND);
}

static void a_due_time_before_the_start_is_on_the_same_grid(void)
{
	struct schedule s = every(10 * SECOND, -20 * SECOND);
	struct advance a;

	CHECK_INT(schedule_after(&s, start_us - 1), start_us);
	CHECK_INT(schedule_after(&s, start_us - 10 * SECOND), start_us);
	CHECK_INT(schedule_after(&s, start_us - 10 * SECOND - 1), start_us - 10 * SECOND);
	CHECK(schedule_advance(&s, start_us + 5 * SECOND, &a));
	CHECK_INT(a.passed, 3); /* -20, -10, 0 */
	CHECK_INT(a.last_us, start_us);
	CHECK_INT(a.next_us, start_us + 10 * SECOND);
}

static void a_session_ends_once_it_is_too_old_and_what_was_due_is_counted(void)
{
	struct schedule s = every(10 * SECOND, 10 * SECOND);
	struct advance a;

	s.max_us = 35 * SECOND;
	CHECK(schedule_advance(&s, start_us + 34 * SECOND, &a));
	CHECK_INT(a.passed, 3);
	CHECK(!a.ended);
	CHECK(schedule_advance(&s, start_us + 35 * SECOND, &a));
	CHECK_INT(a.passed, 3);
	CHECK(a.ended);
	CHECK(schedule_advance(&s, start_us + 500 * SECOND, &a));
	CHECK_INT(a.passed, 3);
	CHECK_INT(a.last_us, start_us + 30 * SECOND);
	CHECK_INT(a.next_us, start_us + 510 * SECOND);
	CHECK(a.ended);
	s.due_us = start_us + 40 * SECOND; /* what was due has been credited before */
	CHECK(schedule_advance(&s, start_us + 41 * SECOND, &a));
	CHECK_INT(a.passed, 0);
	CHECK(a.ended);
}

static void a_due_time_at_the_very_end_counts(void)
{
	struct schedule s = every(10 * SECOND, 30 * SECOND);
	struct advance a;

	s.max_us = 30 * SECOND;
	CHECK(schedule_advance(&s, start_us + 30 * SECOND, &a));
	CHECK_INT(a.passed, 1);
	CHECK(a.ended);
}

static const struct check_test tests[] = {
	CHECK_TEST(nothing_is_due_before_its_time),
	CHECK_TEST(a_due_time_counts_from_its_own_microsecond_on),
	CHECK_TEST(a_long_outage_is_counted_whole),
	CHECK_TEST(every_due_time_is_passed_once),
	CHECK_TEST(a_changed_interval_takes_hold_behind_the_due_time_that_is_fixed),
	CHECK_TEST(a_due_time_before_the_start_is_on_the_same_grid),
	CHECK_TEST(a_session_ends_once_it_is_too_old_and_what_was_due_is_counted),
	CHECK_TEST(a_due_time_at_the_very_end_counts),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
