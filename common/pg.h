/*
 * PostgreSQL. A connection belongs to one thread, connects when first needed, and never waits past its deadline. Statements are
 * prepared on first use, parameters and results are binary, and everything goes through libpq's pipeline mode: queue any number,
 * then sync once.
 *
 *	static const struct pg_statement find = {"find_character", "SELECT xp, gold FROM characters WHERE id = $1"};
 *	struct pg_params params = {0};
 *	pg_add_int8(&params, id);
 *	CLEANUP(pg_rows_release) struct pg_rows rows = {0};
 *	if (pg_query(pg, &find, &params, &rows, &err))
 *		return retry(call, &err);
 *
 * Several statements in one round trip, in one transaction:
 *
 *	pg_begin(pg);  pg_queue(pg, &a, &pa);  pg_queue(pg, &b, &pb);  pg_commit(pg);
 *	if (pg_sync(pg, results, ARRAY_LEN(results), &err)) …		 (results of a and b; nothing is true before it returns 0)
 *
 * or with reads between: pg_begin(); pg_queue(); pg_sync(); … pg_queue(); pg_commit(); pg_sync(). After a failure inside a
 * transaction the connection rolls back by itself before its next use; one that is left without a failure needs pg_rollback(). A commit whose answer was lost is code unavailable, down
 * STORE_POSTGRES: the work may or may not be done, so every write carries its own idempotency key.
 */
#ifndef GARRISON_PG_H
#define GARRISON_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"
#include "uuid.h"

struct pg;

struct pg_statement {
	const char *name; /* unique in the process, letters and underscores */
	const char *sql;
};

#define PG_PARAMS_MAX 40

/*
 * Parameters of one statement, in order. Values are encoded in memory of the struct's own, which pg_queue and pg_query take over
 * and free, whatever they return; pg_params_release is for parameters that were never queued.
 */
struct pg_params {
	int n;
	unsigned types[PG_PARAMS_MAX]; /* type OIDs */
	int lengths[PG_PARAMS_MAX];
	size_t offsets[PG_PARAMS_MAX];
	bool nulls[PG_PARAMS_MAX];
	char *bytes;
	size_t used, cap;
};

void pg_params_release(struct pg_params *params);
/* Append one parameter of the type named. NULL pointers become SQL NULL. Abort past PG_PARAMS_MAX. */
void pg_add_bool(struct pg_params *params, bool value);
void pg_add_int4(struct pg_params *params, int32_t value);
void pg_add_int8(struct pg_params *params, int64_t value);
void pg_add_float8(struct pg_params *params, double value);
void pg_add_text(struct pg_params *params, const char *value);
void pg_add_json(struct pg_params *params, const char *value, size_t len);  /* json */
void pg_add_jsonb(struct pg_params *params, const char *value, size_t len); /* jsonb */
void pg_add_bytea(struct pg_params *params, const void *value, size_t len);
void pg_add_uuid(struct pg_params *params, const struct uuid *value);
void pg_add_timestamptz(struct pg_params *params, int64_t real_us); /* Unix microseconds */
void pg_add_null(struct pg_params *params);			    /* of a type PostgreSQL infers */
/*
 * Arrays for set-based statements ("FROM unnest($1, $2)"). A NULL pointer among the texts, JSON
 * or bytea values is an SQL NULL element.
 */
void pg_add_int4_array(struct pg_params *params, const int32_t *values, size_t n);
void pg_add_int8_array(struct pg_params *params, const int64_t *values, size_t n);
void pg_add_timestamptz_array(struct pg_params *params, const int64_t *real_us, size_t n);
void pg_add_bool_array(struct pg_params *params, const bool *values, size_t n);
void pg_add_text_array(struct pg_params *params, const char *const *values, size_t n);
void pg_add_uuid_array(struct pg_params *params, const struct uuid *values, size_t n);
void pg_add_json_array(struct pg_params *params, const char *const *values, const size_t *lens, size_t n);
void pg_add_jsonb_array(struct pg_params *params, const char *const *values, const size_t *lens, size_t n);
void pg_add_bytea_array(struct pg_params *params, const void *const *values, const size_t *lens, size_t n);

/* The result of one statement. A zeroed one is empty. */
struct pg_rows {
	void *result; /* PGresult */
	int n;	      /* rows returned */
	int64_t affected;
};

void pg_rows_release(struct pg_rows *rows);
/* Column values by row and column; SQL NULL reads as 0, false or nil. Wrong type or place: BUG(). Pointers live until release. */
bool pg_is_null(const struct pg_rows *rows, int row, int column);
bool pg_bool(const struct pg_rows *rows, int row, int column);
int64_t pg_int(const struct pg_rows *rows, int row, int column); /* int2, int4, int8 */
double pg_float8(const struct pg_rows *rows, int row, int column);
int64_t pg_timestamptz(const struct pg_rows *rows, int row, int column); /* Unix microseconds */
struct uuid pg_uuid(const struct pg_rows *rows, int row, int column);
/* text, varchar, json, jsonb (its version byte is skipped), bytea; NUL-terminated; NULL for SQL NULL. len may be NULL. */
const char *pg_text(const struct pg_rows *rows, int row, int column, size_t *len);
/* An int8[] column: the number of elements; values into out, at most max of them; a NULL among them reads as 0. */
size_t pg_int8_array(const struct pg_rows *rows, int row, int column, int64_t *out, size_t max);

struct pg_options {
	const char *url;
	const char *application_name;
	int64_t statement_timeout_ms; /* the server's own limit on a statement */
	int64_t lock_timeout_ms;      /* 0: none of its own */
	int64_t idle_in_transaction_ms;
	const char *session_settings; /* more "-c name=value" words, or NULL */
};

/* 0, or -1 with err invalid_payload when libpq cannot take this URL. The text never quotes the URL. Any thread. */
int pg_check_url(const char *url, struct error *err);

/* A connection object; connects at first use. options' strings must outlive it. Aborts when memory is out. */
struct pg *pg_new(const struct pg_options *options);
/* Closes and frees. NULL is nothing. */
void pg_free(struct pg *pg);
DEFINE_CLEANUP(struct pg *, pg_drop, pg_free)

/*
 * The monotonic time after which no call on this connection waits any longer. Set by whoever starts a piece of work; until then
 * there is no time at all.
 */
void pg_set_deadline(struct pg *pg, int64_t deadline_ms);
/*
 * While barred, every use fails at once (unavailable, down): the store is known to be away, and nobody should wait to learn it.
 */
void pg_bar(struct pg *pg, bool barred);
/* True when the server answers by the deadline; connects if need be. */
bool pg_ping(struct pg *pg, struct error *err);

/* Queue parts of a pipeline; errors show in pg_sync. params may be NULL. */
void pg_begin(struct pg *pg);
void pg_queue(struct pg *pg, const struct pg_statement *statement, struct pg_params *params);
void pg_commit(struct pg *pg);
/*
 * Sends what is queued and reads the answers of all queued statements (begin and commit have none of their own) into results, in
 * order; n must be their number, results may be NULL when nobody wants them. 0, or -1 and all results empty: err.code is
 *	timeout      deadline, statement or lock timeout (55P03, 57014)
 *	unavailable  connection refused or lost (down = STORE_POSTGRES), or a cause that passes by itself: deadlock 40P01,
 *	             serialization 40001, too many connections 53300, disk full 53100, read only 25006, shutdown 57P01–57P03
 *	conflict     unique violation 23505, exclusion 23P01
 *	not_found    foreign key violation 23503
 *	invalid_payload  other data the statement cannot take (class 22, 23502, 23514)
 *	internal     anything else
 * err.sqlstate is set where the server gave one. The transaction, if one was open, is rolled back.
 */
int pg_sync(struct pg *pg, struct pg_rows *results, size_t n, struct error *err);
/*
 * Ends an open transaction without its effects, and forgets what is queued; nothing when there is neither. To be called after
 * every piece of work. Past the deadline it closes the connection instead, which has the same effect.
 */
void pg_rollback(struct pg *pg);
/* One statement, queued and synced; rows may be NULL. Failure as pg_sync. */
int pg_query(struct pg *pg, const struct pg_statement *statement, struct pg_params *params, struct pg_rows *rows,
	struct error *err);
/* SQL text with any number of statements by the simple protocol, for migrations. Failure as pg_sync. */
int pg_script(struct pg *pg, const char *sql, struct error *err);

#endif
