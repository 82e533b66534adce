/* Two workers that drain at once, on a real Redis (GARRISON_TEST_REDIS_URL), in an order that no other test can bring about. */
/* link: services/state-backup/marks.c */
#include "check.h"
#include "clock.h"
#include "services/state-backup/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED 77
#define PRIVATE_DATABASES 511 /* tests/lib/stack.py hands them out in the same way */

static const char *redis_url;

static struct kv *open_database(int64_t number)
{
	char url[256];
	struct error err;

	snprintf(url, sizeof(url), "%.*s/%lld", (int)(strrchr(redis_url, '/') - redis_url), redis_url,
		(long long)number);
	struct kv *kv = kv_new(url, "test_marks", &err);
	if (!kv)
		BUG("%s", err.text);
	kv_set_deadline(kv, clock_ms() + 10000);
	return kv;
}

static int64_t ask(struct kv *kv, const char *command)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };

	if (kv_command(kv, &answers, &err, command))
		CHECK_STR(err.text, "");
	return kv_integer(kv_at(&answers, 0), -1);
}

/* A database that nobody else has now, and nothing in it. */
static struct kv *open_kv(void)
{
	CLEANUP(kv_drop) struct kv *shared = open_database(0);
	struct kv *kv = open_database(ask(shared, "INCR test:databases") % PRIVATE_DATABASES + 1);

	ask(kv, "FLUSHDB");
	return kv;
}

static void a_mark_set_aside_by_another_meanwhile_stays_there(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(scratch_release) struct scratch scratch;
	struct marks first, second;
	struct mark_batch saved, unreadable;
	const struct mark *mark;
	struct error err = { 0 };

	scratch_init(&scratch, 1 << 20);
	marks_init(&first, kv);
	marks_init(&second, kv);
	ask(kv, "SADD dirty_accounts 101");
	CHECK_INT(marks_take(&first, 10, true, &scratch, &saved, &err), 0);
	ask(kv, "SADD dirty_accounts 101"); /* a writer, after the first has read the cache */
	CHECK_INT(marks_take(&second, 10, true, &scratch, &unreadable, &err), 0);
	if (!CHECK_INT(saved.n, 1) || !CHECK_INT(unreadable.n, 1))
		return;
	mark = &unreadable.marks[0];
	CHECK_INT(marks_set_aside(&second, &mark, 1, 60000, &err), 0);
	mark = &saved.marks[0];
	CHECK_INT(marks_done(&first, &mark, 1, &err), 0);
	CHECK_INT(ask(kv, "ZCARD dirty_accounts:aside"), 1);
	ask(kv, "FLUSHDB");
}

static void a_mark_made_anew_waits_no_longer(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(scratch_release) struct scratch scratch;
	struct marks marks;
	struct mark_batch batch;
	const struct mark *mark;
	struct error err = { 0 };

	scratch_init(&scratch, 1 << 20);
	marks_init(&marks, kv);
	ask(kv, "SADD dirty_accounts 101");
	CHECK_INT(marks_take(&marks, 10, true, &scratch, &batch, &err), 0);
	mark = &batch.marks[0];
	CHECK_INT(marks_set_aside(&marks, &mark, 1, 60000, &err), 0);
	ask(kv, "SADD dirty_accounts 101");
	CHECK_INT(marks_take(&marks, 10, true, &scratch, &batch, &err), 0);
	CHECK_INT(batch.n, 1);
	CHECK_INT(ask(kv, "ZCARD dirty_accounts:aside"), 0);
	mark = &batch.marks[0];
	CHECK_INT(marks_done(&marks, &mark, 1, &err), 0);
	CHECK_INT(ask(kv, "EXISTS dirty_accounts"), 0);
	ask(kv, "FLUSHDB");
}

static const struct check_test tests[] = {
	CHECK_TEST(a_mark_set_aside_by_another_meanwhile_stays_there),
	CHECK_TEST(a_mark_made_anew_waits_no_longer),
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return check_main(tests, ARRAY_LEN(tests), argc, argv);
	redis_url = getenv("GARRISON_TEST_REDIS_URL");
	if (!redis_url) {
		fprintf(stderr, "skipped: GARRISON_TEST_REDIS_URL is not set\n");
		return SKIPPED;
	}
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
