/* Types, pipelines, transactions, errors; against a real PostgreSQL. */
/* link: tests/unit/pg_fixture.c */
#include "clock.h"
#include "pg_fixture.h"

#include <stdio.h>
#include <string.h>

STATEMENT(lock_thing, "SELECT id FROM things WHERE id = $1 FOR UPDATE");
STATEMENT(count_all, "SELECT count(*) FROM things");
STATEMENT(one, "SELECT 1");

STATEMENT(scalars,
	"SELECT $1::bool, $2::int4, $3::int8, $4::float8, $5::text, $6::json, $7::jsonb, $8::bytea, $9::uuid, "
	"$10::timestamptz, $11::int2, $3::text, $10::text, $12::text IS NULL, $7->>'a'");

static void scalars_come_back(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	struct error err = { 0 };
	struct uuid uuid = uuid_random();
	size_t len;
	pg_add_bool(&params, true);
	pg_add_int4(&params, INT32_MIN);
	pg_add_int8(&params, -9007199254740993);
	pg_add_float8(&params, 0.1);
	pg_add_text(&params, "Шкура волка");
	pg_add_json(&params, "{\"a\": [1]}", 10);
	pg_add_jsonb(&params, "{\"a\": \"b\"}", 10);
	pg_add_bytea(&params, "\0\1\377", 3);
	pg_add_uuid(&params, &uuid);
	pg_add_timestamptz(&params, 1735460000123456);
	pg_add_null(&params);
	pg_add_text(&params, NULL);
	if (!CHECK_INT(pg_query(pg, &scalars, &params, &rows, &err), 0))
		return;
	CHECK(!params.bytes);
	CHECK_INT(rows.n, 1);
	CHECK(pg_bool(&rows, 0, 0));
	CHECK_INT(pg_int(&rows, 0, 1), INT32_MIN);
	CHECK_INT(pg_int(&rows, 0, 2), -9007199254740993);
	CHECK(pg_float8(&rows, 0, 3) == 0.1);
	CHECK_STR(pg_text(&rows, 0, 4, NULL), "Шкура волка");
	CHECK_STR(pg_text(&rows, 0, 5, &len), "{\"a\": [1]}");
	CHECK_INT((int64_t)len, 10);
	CHECK_STR(pg_text(&rows, 0, 6, &len), "{\"a\": \"b\"}");
	CHECK_INT((int64_t)len, 10);
	CHECK(memcmp(pg_text(&rows, 0, 7, &len), "\0\1\377", 3) == 0 && len == 3);
	struct uuid back = pg_uuid(&rows, 0, 8);
	CHECK_INT(uuid_compare(&back, &uuid), 0);
	CHECK_INT(pg_timestamptz(&rows, 0, 9), 1735460000123456);
	CHECK(pg_is_null(&rows, 0, 10));
	CHECK_INT(pg_int(&rows, 0, 10), 0);
	CHECK_STR(pg_text(&rows, 0, 11, NULL), "-9007199254740993");
	CHECK_HAS(pg_text(&rows, 0, 12, NULL), ":20.123456");
	CHECK(pg_bool(&rows, 0, 13));
	CHECK_STR(pg_text(&rows, 0, 14, NULL), "b");
}

STATEMENT(empty_values, "SELECT $1::text = '', $2::bytea = '', $1 IS NULL, $1");

static void empty_is_not_null(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	struct error err = { 0 };
	pg_add_text(&params, "");
	pg_add_bytea(&params, "", 0);
	if (!CHECK_INT(pg_query(pg, &empty_values, &params, &rows, &err), 0))
		return;
	CHECK(pg_bool(&rows, 0, 0) && pg_bool(&rows, 0, 1) && !pg_bool(&rows, 0, 2));
	CHECK_STR(pg_text(&rows, 0, 3, NULL), "");
}

STATEMENT(arrays,
	"SELECT a, b, c, d, e, f::text, g->>'k', h, i, array_agg(b) OVER () FROM unnest($1::int4[], $2::int8[], "
	"$3::timestamptz[], $4::bool[], $5::text[], $6::json[], $7::jsonb[], $8::bytea[], $9::uuid[]) "
	"AS t(a, b, c, d, e, f, g, h, i)");

static void arrays_come_back(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct error err = { 0 };
	struct pg_params params = { 0 };
	static const char *const texts[] = { "one", NULL, "" }, *const jsons[] = { "{\"k\":\"v\"}", NULL, "[1]" };
	static const size_t lens[] = { 9, 0, 3 };
	static const void *const bytes[] = { "\0\0", NULL, "x" };
	static const size_t byte_lens[] = { 2, 0, 1 };
	const struct uuid uuids[] = { uuid_random(), uuid_random(), uuid_random() };
	pg_add_int4_array(&params, (const int32_t[]){ 1, -2, INT32_MAX }, 3);
	pg_add_int8_array(&params, (const int64_t[]){ 1, INT64_MIN, 3 }, 3);
	pg_add_timestamptz_array(&params, (const int64_t[]){ 0, 1, 1735460000000000 }, 3);
	pg_add_bool_array(&params, (const bool[]){ true, false, true }, 3);
	pg_add_text_array(&params, texts, 3);
	pg_add_json_array(&params, jsons, lens, 3);
	pg_add_jsonb_array(&params, jsons, lens, 3);
	pg_add_bytea_array(&params, bytes, byte_lens, 3);
	pg_add_uuid_array(&params, uuids, 3);
	if (!CHECK_INT(pg_query(pg, &arrays, &params, &rows, &err), 0) || !CHECK_INT(rows.n, 3))
		return;
	int64_t values[2] = { 0 };
	size_t len;
	CHECK_INT(pg_int(&rows, 2, 0), INT32_MAX);
	CHECK_INT(pg_int(&rows, 1, 1), INT64_MIN);
	CHECK_INT(pg_timestamptz(&rows, 0, 2), 0);
	CHECK_INT(pg_timestamptz(&rows, 2, 2), 1735460000000000);
	CHECK(pg_bool(&rows, 0, 3) && !pg_bool(&rows, 1, 3));
	CHECK_STR(pg_text(&rows, 0, 4, NULL), "one");
	CHECK_STR(pg_text(&rows, 1, 4, NULL), NULL);
	CHECK_STR(pg_text(&rows, 2, 4, NULL), "");
	CHECK_STR(pg_text(&rows, 0, 5, NULL), "{\"k\":\"v\"}");
	CHECK(pg_is_null(&rows, 1, 5));
	CHECK_STR(pg_text(&rows, 0, 6, NULL), "v");
	CHECK(pg_text(&rows, 0, 7, &len) && len == 2);
	for (int i = 0; i < 3; i++) {
		struct uuid back = pg_uuid(&rows, i, 8);
		CHECK_INT(uuid_compare(&back, &uuids[i]), 0);
	}
	CHECK_INT((int64_t)pg_int8_array(&rows, 0, 9, values, ARRAY_LEN(values)), 3);
	CHECK_INT(values[0], 1);
	CHECK_INT(values[1], INT64_MIN);
}

STATEMENT(empty_array, "SELECT cardinality($1::int8[]), cardinality($2::text[]), $1");

static void an_array_may_be_empty(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct error err = { 0 };
	struct pg_params params = { 0 };
	pg_add_int8_array(&params, NULL, 0);
	pg_add_text_array(&params, NULL, 0);
	if (!CHECK_INT(pg_query(pg, &empty_array, &params, &rows, &err), 0))
		return;
	CHECK_INT(pg_int(&rows, 0, 0), 0);
	CHECK_INT(pg_int(&rows, 0, 1), 0);
	CHECK_INT((int64_t)pg_int8_array(&rows, 0, 2, NULL, 0), 0);
}

STATEMENT(same_name, "SELECT pg_typeof($1)::text, $1::text");

static void one_statement_with_other_types(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	static const char *const types[] = { "bigint", "text", "bigint", "text" };
	struct error err = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
		struct pg_params params = { 0 };
		if (i % 2)
			pg_add_text(&params, i == 3 ? NULL : "7");
		else
			pg_add_int8(&params, 7);
		if (!CHECK_INT(pg_query(pg, &same_name, &params, &rows, &err), 0))
			return;
		/* The NULL at last fits what was prepared before, of whichever type. */
		if (i < 3)
			CHECK_STR(pg_text(&rows, 0, 0, NULL), types[i]);
		CHECK_STR(pg_text(&rows, 0, 1, NULL), i == 3 ? NULL : "7");
	}
}

static void an_error_in_the_middle_undoes_all(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	struct pg_rows results[3] = { 0 };
	fresh_things(pg);
	int64_t pid = backend_pid(pg);
	queue_thing(pg, 1);
	queue_thing(pg, 1);
	pg_queue(pg, &count_all, NULL);
	CHECK_INT(pg_sync(pg, results, 3, &err), -1);
	CHECK_INT(err.code, CODE_CONFLICT);
	CHECK_STR(err.sqlstate, "23505");
	CHECK_HAS(err.text, "insert_thing");
	CHECK(!results[0].result && !results[1].result && !results[2].result);
	CHECK_INT(ask_int(pg, &count_all), 0); /* not prepared, for the server skipped that */
	CHECK_INT(add_thing(pg, 1, "again", &err), 0);
	CHECK_INT(ask_int(pg, &count_all), 1);
	CHECK_INT(backend_pid(pg), pid);
}

static void results_are_in_order(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	struct pg_rows results[4] = { 0 };
	fresh_things(pg);
	pg_begin(pg);
	queue_thing(pg, 1);
	pg_queue(pg, &count_all, NULL);
	queue_thing(pg, 2);
	pg_commit(pg);
	pg_queue(pg, &count_all, NULL);
	if (!CHECK_INT(pg_sync(pg, results, 4, &err), 0))
		return;
	CHECK_INT(results[0].affected, 1);
	CHECK_INT(results[0].n, 0);
	CHECK_INT(pg_int(&results[1], 0, 0), 1);
	CHECK_INT(pg_int(&results[3], 0, 0), 2);
	for (size_t i = 0; i < ARRAY_LEN(results); i++)
		pg_rows_release(&results[i]);
}

static void a_transaction_spans_syncs(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_drop) struct pg *other = open_pg();
	struct error err = { 0 };
	fresh_things(pg);
	pg_begin(pg);
	queue_thing(pg, 1);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), 0);
	CHECK_INT(count_things(pg), 1);
	CHECK_INT(count_things(other), 0);
	pg_commit(pg);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), 0);
	CHECK_INT(count_things(other), 1);
}

static void rollback_undoes_and_unlocks(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(pg_drop) struct pg *other = open_at(NULL, 10000, 100);
	struct error err = { 0 };
	fresh_things(pg);
	CHECK_INT(add_thing(pg, 1, "a", &err), 0);
	pg_begin(pg);
	queue_thing(pg, 2);
	struct pg_params params = { 0 };
	pg_add_int8(&params, 1);
	pg_queue(pg, &lock_thing, &params);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), 0);
	pg_queue(pg, &one, NULL); /* never synced: forgotten with the rest */
	pg_rollback(pg);
	pg_add_int8(&params, 1);
	CHECK_INT(pg_query(other, &lock_thing, &params, NULL, &err), 0);
	CHECK_INT(count_things(pg), 1);
	pg_rollback(pg); /* nothing open: nothing */
	CHECK_INT(count_things(pg), 1);
}

static void a_failed_transaction_is_rolled_back_by_itself(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	fresh_things(pg);
	int64_t pid = backend_pid(pg);
	pg_begin(pg);
	queue_thing(pg, 1);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), 0);
	queue_thing(pg, 1);
	pg_commit(pg);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), -1);
	CHECK_INT(err.code, CODE_CONFLICT);
	CHECK_INT(count_things(pg), 0);
	CHECK_INT(backend_pid(pg), pid);
	/* A commit without its transaction must not let the statement before it through. */
	queue_thing(pg, 1);
	pg_commit(pg);
	CHECK_INT(pg_sync(pg, NULL, 0, &err), -1);
	CHECK_INT(err.code, CODE_INTERNAL);
	CHECK_INT(count_things(pg), 0);
}

STATEMENT(bad_number, "SELECT $1::text::int4");
STATEMENT(add_part, "INSERT INTO parts VALUES ($1, $2)");
STATEMENT(no_such_table, "SELECT 1 FROM no_such_table");

static void errors_have_their_codes(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	struct pg_params params = { 0 };
	fresh_things(pg);
	pg_add_text(&params, "seven");
	CHECK_INT(pg_query(pg, &bad_number, &params, NULL, &err), -1);
	CHECK_INT(err.code, CODE_INVALID_PAYLOAD);
	CHECK_STR(err.sqlstate, "22P02");
	pg_add_int8(&params, 1);
	pg_add_int8(&params, 99);
	CHECK_INT(pg_query(pg, &add_part, &params, NULL, &err), -1);
	CHECK_INT(err.code, CODE_NOT_FOUND);
	CHECK_INT(add_thing(pg, 1, NULL, &err), -1);
	CHECK_STR(err.sqlstate, "23502");
	CHECK_INT(err.code, CODE_INVALID_PAYLOAD);
	CHECK_INT(add_thing(pg, -1, "a", &err), -1);
	CHECK_STR(err.sqlstate, "23514");
	CHECK_INT(add_thing(pg, 1, "\xff", &err), -1);
	CHECK_INT(err.code, CODE_INVALID_PAYLOAD);
	CHECK_INT(pg_query(pg, &no_such_table, NULL, NULL, &err), -1);
	CHECK_INT(err.code, CODE_INTERNAL);
	CHECK_INT(err.down, STORE_NONE);
	CHECK_INT(ask_int(pg, &one), 1);
}

static void every_sqlstate_has_its_code(void)
{
	static const struct {
		const char *sqlstate;
		enum code code;
		enum store down;
	} cases[] = {
		{ "55P03", CODE_TIMEOUT, STORE_NONE },
		{ "57014", CODE_TIMEOUT, STORE_NONE },
		{ "40P01", CODE_UNAVAILABLE, STORE_NONE },
		{ "40001", CODE_UNAVAILABLE, STORE_NONE },
		{ "53300", CODE_UNAVAILABLE, STORE_NONE },
		{ "53100", CODE_UNAVAILABLE, STORE_NONE },
		{ "25006", CODE_UNAVAILABLE, STORE_NONE },
		{ "57P01", CODE_UNAVAILABLE, STORE_POSTGRES },
		{ "57P03", CODE_UNAVAILABLE, STORE_POSTGRES },
		{ "08006", CODE_UNAVAILABLE, STORE_POSTGRES },
		{ "23505", CODE_CONFLICT, STORE_NONE },
		{ "23P01", CODE_CONFLICT, STORE_NONE },
		{ "23503", CODE_NOT_FOUND, STORE_NONE },
		{ "23502", CODE_INVALID_PAYLOAD, STORE_NONE },
		{ "23514", CODE_INVALID_PAYLOAD, STORE_NONE },
		{ "22003", CODE_INVALID_PAYLOAD, STORE_NONE },
		{ "42P01", CODE_INTERNAL, STORE_NONE },
		{ "XX000", CODE_INTERNAL, STORE_NONE },
	};
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(text_release) struct text sql = { 0 };
		struct error err = { 0 };
		text_printf(
			&sql, "DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '%s'; END $$", cases[i].sqlstate);
		CHECK_INT(pg_script(pg, text_str(&sql), &err), -1);
		CHECK_STR(err.sqlstate, cases[i].sqlstate);
		if (!CHECK_INT(err.code, cases[i].code) || !CHECK_INT(err.down, cases[i].down))
			fprintf(stderr, "\tfor SQLSTATE %s\n", cases[i].sqlstate);
	}
	CHECK_INT(ask_int(pg, &one), 1);
}

static void a_server_that_turned_read_only_is_left(void)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	struct error err = { 0 };
	fresh_things(pg);
	CHECK_INT(pg_script(pg, "SET default_transaction_read_only = on", &err), 0);
	CHECK_INT(add_thing(pg, 1, "a", &err), -1);
	CHECK_STR(err.sqlstate, "25006");
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(add_thing(pg, 1, "a", &err), 0);
}

static const struct check_test tests[] = {
	CHECK_TEST(scalars_come_back),
	CHECK_TEST(empty_is_not_null),
	CHECK_TEST(arrays_come_back),
	CHECK_TEST(an_array_may_be_empty),
	CHECK_TEST(one_statement_with_other_types),
	CHECK_TEST(an_error_in_the_middle_undoes_all),
	CHECK_TEST(results_are_in_order),
	CHECK_TEST(a_transaction_spans_syncs),
	CHECK_TEST(rollback_undoes_and_unlocks),
	CHECK_TEST(a_failed_transaction_is_rolled_back_by_itself),
	CHECK_TEST(errors_have_their_codes),
	CHECK_TEST(every_sqlstate_has_its_code),
	CHECK_TEST(a_server_that_turned_read_only_is_left),
};

int main(int argc, char **argv)
{
	return pg_fixture_main(tests, ARRAY_LEN(tests), argc, argv);
}
