/* Lock, statement and deadline limits; against a real PostgreSQL. */
/* link: tests/unit/pg_fixture.c */
#include "clock.h"
#include "pg_fixture.h"

STATEMENT(lock_thing, "SELECT id FROM things WHERE id = $1 FOR UPDATE");
STATEMENT(one, "SELECT 1");

static void a_lock_is_not_waited_for_long(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_drop) struct pg *other = open_at(NULL, 10000, 100);
	struct error err = { 0 };
	struct pg_params params = { 0 };
	fresh_things(pg);
	CHECK_INT(add_thing(pg, 1, "a", &err), 0);
	pg_begin(pg);
	pg_add_int8(&params, 1);
	pg_queue(pg, &lock_thing, &params);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), 0);
	pg_add_int8(&params, 1);
	CHECK_INT(pg_query(other, &lock_thing, &params, NULL, &err), -1);
	CHECK_INT(err.code, CODE_TIMEOUT);
	CHECK_STR(err.sqlstate, "55P03");
	pg_rollback(pg);
	pg_add_int8(&params, 1);
	CHECK_INT(pg_query(other, &lock_thing, &params, NULL, &err), 0);
}

STATEMENT(statement_timeout, "SELECT setting::int8 FROM pg_settings WHERE name = 'statement_timeout'");

static void the_server_stops_before_the_deadline(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	int64_t pid = backend_pid(pg);
	CHECK_INT(ask_int(pg, &statement_timeout), 10000);
	int64_t start = clock_ms();
	pg_set_deadline(pg, start + 400);
	int64_t limit = ask_int(pg, &statement_timeout);
	CHECK(limit > 300 && limit <= 400);
	CHECK_INT(sleep_in_server(pg, 5, &err), -1);
	CHECK_INT(err.code, CODE_TIMEOUT);
	CHECK_STR(err.sqlstate, "57014");
	CHECK(clock_ms() - start <= 450);
	/* The connection is still good, and its usual limit comes back. */
	pg_set_deadline(pg, clock_ms() + 10000);
	CHECK_INT(ask_int(pg, &statement_timeout), 10000);
	CHECK_INT(backend_pid(pg), pid);
}

static void a_limit_that_was_rolled_back_is_set_again(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	fresh_things(pg);
	CHECK_INT(ask_int(pg, &statement_timeout), 10000);
	pg_set_deadline(pg, clock_ms() + 1000);
	pg_begin(pg);
	CHECK_INT(ask_int(pg, &one), 1);
	pg_rollback(pg);
	CHECK(ask_int(pg, &statement_timeout) <= 1000);
	pg_set_deadline(pg, clock_ms() + 500);
	queue_thing(pg, 1);
	queue_thing(pg, 1);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), -1);
	CHECK_INT(err.code, CODE_CONFLICT);
	CHECK(ask_int(pg, &statement_timeout) <= 500);
}

static void a_deadline_ends_the_wait(void)
{
	/* Without a limit of the server's own, so that only ours can help. */
	CLEANUP(pg_drop) struct pg *pg = open_at(NULL, 0, 0);
	struct error err = { 0 };
	CHECK_INT(ask_int(pg, &one), 1);
	int64_t start = clock_ms();
	pg_set_deadline(pg, start + 200);
	CHECK_INT(sleep_in_server(pg, 3, &err), -1);
	CHECK_INT(err.code, CODE_TIMEOUT);
	CHECK_INT(err.down, STORE_NONE);
	CHECK(clock_ms() - start >= 200 && clock_ms() - start < 300);
	CHECK_INT(pg_query(pg, &one, NULL, NULL, &err), -1);
	CHECK_INT(err.code, CODE_TIMEOUT);
	pg_set_deadline(pg, clock_ms() + 5000);
	CHECK_INT(ask_int(pg, &one), 1);
	/* Scripts as well. */
	start = clock_ms();
	pg_set_deadline(pg, start + 200);
	CHECK_INT(pg_script(pg, "SELECT 1; SELECT pg_sleep(3)", &err), -1);
	CHECK_INT(err.code, CODE_TIMEOUT);
	CHECK(clock_ms() - start < 300);
	pg_set_deadline(pg, clock_ms() + 5000);
	CHECK(pg_ping(pg, &err));
}

static const struct check_test tests[] = {
	CHECK_TEST(a_lock_is_not_waited_for_long),
	CHECK_TEST(the_server_stops_before_the_deadline),
	CHECK_TEST(a_limit_that_was_rolled_back_is_set_again),
	CHECK_TEST(a_deadline_ends_the_wait),
};

int main(int argc, char **argv)
{
	return pg_fixture_main(tests, ARRAY_LEN(tests), argc, argv);
}
