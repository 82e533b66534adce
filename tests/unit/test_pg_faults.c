/* Lost connections, statements that became invalid, hosts that do not answer, batches larger than any buffer. */
/* link: tests/unit/pg_fixture.c */
#include "clock.h"
#include "pg_fixture.h"
#include "pg_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

STATEMENT(one, "SELECT 1");

static void an_idle_connection_that_died_is_not_noticed(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_drop) struct pg *other = open_pg();
	int64_t pid = backend_pid(pg);
	end_backend(other, pid);
	CHECK(backend_pid(pg) != pid);
}

static void a_transaction_whose_connection_died_fails(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_drop) struct pg *other = open_pg();
	struct error err = { 0 };
	fresh_things(pg);
	int64_t pid = backend_pid(pg);
	pg_begin(pg);
	queue_thing(pg, 1);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), 0);
	end_backend(other, pid);
	queue_thing(pg, 2);
	pg_commit(pg);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), -1);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_POSTGRES);
	CHECK_INT(count_things(pg), 0);
}

static void *end_soon(void *pid)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	STATEMENT(is_sleeping, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'");
	int64_t deadline = clock_ms() + 5000;
	for (bool sleeping = false; !sleeping && clock_ms() < deadline;) {
		CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
		struct pg_params params = { 0 };
		struct error err;
		pg_add_int4(&params, (int32_t) * (int64_t *)pid);
		if (!CHECK_INT(pg_query(pg, &is_sleeping, &params, &rows, &err), 0))
			return NULL;
		sleeping = pg_int(&rows, 0, 0) == 1;
	}
	end_backend(pg, *(int64_t *)pid);
	return NULL;
}

static void a_backend_killed_at_work_is_unavailable(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	pthread_t thread;
	int64_t pid = backend_pid(pg);
	if (!CHECK_INT(pthread_create(&thread, NULL, end_soon, &pid), 0))
		return;
	CHECK_INT(sleep_in_server(pg, 8, &err), -1);
	pthread_join(thread, NULL);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_POSTGRES);
	CHECK_STR(err.sqlstate, "57P01");
	CHECK(backend_pid(pg) != pid);
}

STATEMENT(all_things, "SELECT * FROM things");

static void a_statement_is_prepared_anew_when_it_became_invalid(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	struct pg_rows results[2] = { 0 };
	fresh_things(pg);
	CHECK_INT(pg_query(pg, &all_things, NULL, NULL, &err), 0);
	CHECK_INT(pg_script(pg, "ALTER TABLE things ADD COLUMN more int DEFAULT 7", &err), 0);
	pg_begin(pg);
	queue_thing(pg, 1);
	pg_queue(pg, &all_things, NULL);
	pg_commit(pg);
	if (!CHECK_INT(pg_sync(pg, results, 2, &err), 0))
		CHECK_STR(err.text, "");
	else
		CHECK_INT(pg_int(&results[1], 0, 2), 7);
	pg_rows_release(&results[0]);
	pg_rows_release(&results[1]);
	CHECK_INT(count_things(pg), 1);
	CHECK_INT(pg_script(pg, "DEALLOCATE ALL", &err), 0);
	CHECK_INT(count_things(pg), 1);
	/* Not behind a transaction's back, though: that one is to be done again, from its beginning. */
	pg_begin(pg);
	queue_thing(pg, 2);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), 0);
	CHECK_INT(pg_script(pg, "DEALLOCATE ALL", &err), 0);
	queue_thing(pg, 3);
	pg_commit(pg);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), -1);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_NONE);
	CHECK_INT(count_things(pg), 1);
}

STATEMENT(mirror, "SELECT $1::text, $2::bytea");

static void a_large_pipeline_flows_both_ways(void)
{
	enum { N = 4000, SIZE = 8000 };
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(release_memory) struct pg_rows *results = must_zalloc(N * sizeof(*results));
	CLEANUP(release_memory) char *bytes = must_zalloc(SIZE);
	struct error err = { 0 };
	char name[32];
	for (int i = 0; i < N; i++) {
		struct pg_params params = { 0 };
		snprintf(name, sizeof(name), "number %d", i);
		pg_add_text(&params, name);
		pg_add_bytea(&params, bytes, SIZE);
		pg_queue(pg, &mirror, &params);
	}
	if (!CHECK_INT(pg_sync(pg, results, N, &err), 0)) {
		CHECK_STR(err.text, "");
		return;
	}
	for (int i = 0; i < N; i++) {
		size_t len;
		snprintf(name, sizeof(name), "number %d", i);
		CHECK_STR(pg_text(&results[i], 0, 0, NULL), name);
		CHECK(pg_text(&results[i], 0, 1, &len) && len == SIZE);
		pg_rows_release(&results[i]);
	}
}

static void one_large_value(void)
{
	enum { SIZE = 24 * 1024 * 1024 };
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	CLEANUP(release_memory) char *bytes = must_zalloc(SIZE);
	struct pg_params params = { 0 };
	struct error err = { 0 };
	size_t len;
	pg_add_text(&params, NULL);
	pg_add_bytea(&params, bytes, SIZE);
	if (CHECK_INT(pg_query(pg, &mirror, &params, &rows, &err), 0))
		CHECK(pg_text(&rows, 0, 1, &len) && len == SIZE);
}

static void nobody_listens(void)
{
	CLEANUP(release_memory) char *url = url_with_hosts("127.0.0.1:1");
	CLEANUP(pg_drop) struct pg *pg = open_at(url, 1000, 0);
	struct error err = { 0 };
	int64_t start = clock_ms();
	CHECK_INT(pg_query(pg, &one, NULL, NULL, &err), -1);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_POSTGRES);
	CHECK_HAS(err.text, "refused");
	CHECK(!pg_ping(pg, &err));
	CHECK(clock_ms() - start < 1000);
}

static void nobody_answers(void)
{
	char port[8], hosts[32];
	CLEANUP(release_fd) int fd = silent_server(port);
	CHECK(fd >= 0);
	snprintf(hosts, sizeof(hosts), "127.0.0.1:%s", port);
	CLEANUP(release_memory) char *url = url_with_hosts(hosts);
	CLEANUP(pg_drop) struct pg *pg = open_at(url, 1000, 0);
	struct error err = { 0 };
	int64_t start = clock_ms();
	pg_set_deadline(pg, start + 300);
	CHECK_INT(pg_query(pg, &one, NULL, NULL, &err), -1);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_POSTGRES);
	CHECK(clock_ms() - start >= 300 && clock_ms() - start < 400);
}

static void the_host_that_answers_is_found(void)
{
	char port[8], hosts[400];
	CLEANUP(release_fd) int fd = silent_server(port);
	CHECK(fd >= 0);
	snprintf(hosts, sizeof(hosts), "127.0.0.1:1,127.0.0.1:%s,%s,127.0.0.1:2", port, server_host());
	CLEANUP(release_memory) char *url = url_with_hosts(hosts);
	CLEANUP(pg_drop) struct pg *pg = open_at(url, 1000, 0);
	pg_set_deadline(pg, clock_ms() + 2000);
	int64_t pid = backend_pid(pg);
	CHECK(pid > 0);
	/* And remembered: the silent one costs no time again. */
	CLEANUP(pg_drop) struct pg *other = open_pg();
	end_backend(other, pid);
	int64_t start = clock_ms();
	pg_set_deadline(pg, start + 2000);
	CHECK(backend_pid(pg) > 0);
	CHECK(clock_ms() - start < 300);
}

static void urls_are_checked(void)
{
	struct error err = { 0 };
	CHECK_INT(pg_check_url("postgresql://u:p@a:1,b:2/garrison?target_session_attrs=read-write", &err), 0);
	CHECK_INT(pg_check_url("host=/tmp dbname=garrison", &err), 0);
	CHECK_INT(pg_check_url("mysql://a/b", &err), -1);
	CHECK_INT(err.code, CODE_INVALID_PAYLOAD);
	CHECK_INT(pg_check_url("postgresql://u:hunter2@[::1/b", &err), -1);
	CHECK(!strstr(err.text, "hunter2"));
	CHECK_INT(pg_check_url("postgresql://h/b?no_such_option=1", &err), -1);
	/* The first half of a password that was not escaped. */
	CHECK_INT(pg_check_url("postgresql://u:hunter2/half@h/b", &err), -1);
	CHECK(!strstr(err.text, "hunter2"));
	CHECK_INT(pg_check_url("postgresql://a,b:5432,c:65535/d", &err), 0);
	CHECK_INT(pg_check_url("postgresql://a/d?port=", &err), 0);
	CHECK_INT(pg_check_url("postgresql://a:65536/d", &err), -1);
	CHECK_INT(pg_check_url("postgresql://a:0/d", &err), -1);
	CHECK_INT(pg_check_url("postgresql://a:1,b:2x/d", &err), -1);
	CHECK_INT(pg_check_url("postgresql://a:00000000000000005432/d", &err), -1);
}

static void what_the_library_itself_cannot_do_is_to_be_tried_again(void)
{
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR); /* as where it finds no memory: no SQLSTATE */
	struct error err = { 0 };
	pg_error_from(result, "COMMIT", &err);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	PQclear(result);
}

static const struct check_test tests[] = {
	CHECK_TEST(an_idle_connection_that_died_is_not_noticed),
	CHECK_TEST(a_transaction_whose_connection_died_fails),
	CHECK_TEST(a_backend_killed_at_work_is_unavailable),
	CHECK_TEST(a_statement_is_prepared_anew_when_it_became_invalid),
	CHECK_TEST(a_large_pipeline_flows_both_ways),
	CHECK_TEST(one_large_value),
	CHECK_TEST(nobody_listens),
	CHECK_TEST(nobody_answers),
	CHECK_TEST(the_host_that_answers_is_found),
	CHECK_TEST(urls_are_checked),
	CHECK_TEST(what_the_library_itself_cannot_do_is_to_be_tried_again),
};

int main(int argc, char **argv)
{
	return pg_fixture_main(tests, ARRAY_LEN(tests), argc, argv);
}
