#include "pg_internal.h"
#include "clock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* A queue longer than this gives its memory back after the sync. */
#define QUEUE_KEPT (64 * 1024 / sizeof(struct pg_queued))

struct pg *pg_new(const struct pg_options *options)
{
	struct pg *pg = must_zalloc(sizeof(*pg));
	pg->options = *options;
	return pg;
}

/* Forgets what is queued. */
static void discard(struct pg *pg)
{
	for (size_t i = 0; i < pg->n_queued; i++) {
		free(pg->queue[i].params);
		free(pg->queue[i].bytes);
	}
	pg->n_queued = pg->n_statements = 0;
	pg->queue_in_transaction = pg->in_transaction;
	pg->queue_wrong = false;
	if (pg->queue_cap > QUEUE_KEPT) {
		free(TAKE(pg->queue));
		pg->queue_cap = 0;
	}
}

void pg_free(struct pg *pg)
{
	if (!pg)
		return;
	pg_disconnect(pg);
	discard(pg);
	free(pg->queue);
	free(pg);
}

void pg_set_deadline(struct pg *pg, int64_t deadline_ms)
{
	pg->deadline_ms = deadline_ms;
}

static struct pg_queued *queue(struct pg *pg, enum pg_part part)
{
	if (pg->n_queued == pg->queue_cap) {
		pg->queue_cap = pg->queue_cap ? pg->queue_cap * 2 : 8;
		pg->queue = must_realloc(pg->queue, pg->queue_cap * sizeof(pg->queue[0]));
	}
	struct pg_queued *queued = &pg->queue[pg->n_queued++];
	*queued = (struct pg_queued){ .part = part };
	return queued;
}

void pg_begin(struct pg *pg)
{
	pg->queue_wrong = pg->queue_wrong || pg->queue_in_transaction;
	pg->queue_in_transaction = true;
	queue(pg, PG_PART_BEGIN);
}

void pg_commit(struct pg *pg)
{
	pg->queue_wrong = pg->queue_wrong || !pg->queue_in_transaction;
	pg->queue_in_transaction = false;
	queue(pg, PG_PART_COMMIT);
}

void pg_queue(struct pg *pg, const struct pg_statement *statement, struct pg_params *params)
{
	struct pg_queued *queued = queue(pg, PG_PART_STATEMENT);
	queued->statement = statement;
	pg->n_statements++;
	if (!params || params->n == 0)
		return;
	queued->n = params->n;
	queued->params = must_alloc((size_t)params->n * sizeof(queued->params[0]));
	for (int i = 0; i < params->n; i++)
		queued->params[i] = (struct pg_queued_param){ params->types[i], params->lengths[i], params->offsets[i],
			params->nulls[i] };
	/* A parameter of no bytes still needs an address: NULL would say SQL NULL. */
	queued->bytes = params->bytes ? TAKE(params->bytes) : must_alloc(1);
	pg_params_release(params);
}

/* An idle connection that has something to say is one the server has closed, or is about to. */
static bool is_dead(struct pg *pg)
{
	struct pollfd fd = { .fd = PQsocket(pg->conn), .events = POLLIN | POLLRDHUP };
	if (PQstatus(pg->conn) == CONNECTION_BAD)
		return true;
	if (poll(&fd, 1, 0) <= 0)
		return false;
	if (fd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
		return true;
	/* A notice or a parameter's new value; PQisBusy() has libpq digest it. */
	return !PQconsumeInput(pg->conn) || (PQisBusy(pg->conn), PQstatus(pg->conn) == CONNECTION_BAD);
}

/* Sees to it that there is time and a live connection. */
static int make_ready(struct pg *pg, struct error *err)
{
	bool in_transaction = pg->in_transaction;
	if (pg->barred)
		return error_down(err, STORE_POSTGRES, "PostgreSQL is out of reach");
	if (clock_left_ms(pg->deadline_ms) == 0) {
		if (in_transaction)
			pg_disconnect(pg);
		return error_set(err, CODE_TIMEOUT, "PostgreSQL: the deadline has passed");
	}
	if (pg->conn && is_dead(pg)) {
		if (in_transaction)
			pg_error_lost(pg->conn, "connection lost inside a transaction", "", err);
		pg_disconnect(pg);
		if (in_transaction)
			return -1;
	}
	return pg->conn ? 0 : pg_connect(pg, err);
}

static void release_all(struct pg_rows *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pg_rows_release(&rows[i]);
}

static int run_queue(struct pg *pg, struct pg_rows *answers, struct error *err)
{
	if (pg->queue_wrong) {
		pg_rollback(pg);
		return error_set(err, CODE_INTERNAL, "begin inside a transaction, or commit outside of one");
	}
	/* A statement that became invalid is prepared anew, on a new connection; once, lest it go on for ever. */
	for (int turn = 0; turn < 2; turn++) {
		if (make_ready(pg, err))
			return -1;
		enum pg_outcome outcome = pg_exchange(pg, answers, err);
		if (outcome == PG_DONE)
			return 0;
		release_all(answers, pg->n_statements);
		if (outcome != PG_STALE)
			return -1;
	}
	return -1;
}

int pg_sync(struct pg *pg, struct pg_rows *results, size_t n, struct error *err)
{
	CLEANUP(release_memory) struct pg_rows *answers = must_zalloc((pg->n_statements + 1) * sizeof(*answers));
	size_t n_statements = pg->n_statements;
	if (results && n != n_statements)
		BUG("%zu results for %zu statements", n, n_statements);
	int rc = pg->n_queued ? run_queue(pg, answers, err) : 0;
	discard(pg);
	if (results && n)
		memcpy(results, answers, n * sizeof(*results));
	else
		release_all(answers, n_statements);
	return rc;
}

int pg_query(struct pg *pg, const struct pg_statement *statement, struct pg_params *params, struct pg_rows *rows,
	struct error *err)
{
	if (pg->n_statements)
		BUG("pg_query of %s with %zu statements queued", statement->name, pg->n_statements);
	pg_queue(pg, statement, params);
	return pg_sync(pg, rows, 1, err);
}

void pg_rollback(struct pg *pg)
{
	bool in_transaction = pg->in_transaction;
	pg->in_transaction = false;
	discard(pg);
	if (!in_transaction)
		return;
	pg->rollback_due = true;
	pg->server_timeout_ms = PG_TIMEOUT_UNKNOWN;
	/* At once, for the row locks' sake; closing the connection does it as well. */
	if (clock_left_ms(pg->deadline_ms) == 0 || pg_exchange(pg, NULL, NULL) != PG_DONE)
		pg_disconnect(pg);
}

void pg_bar(struct pg *pg, bool barred)
{
	pg->barred = barred;
}

bool pg_ping(struct pg *pg, struct error *err)
{
	if (pg->n_queued)
		BUG("pg_ping with %zu parts queued", pg->n_queued);
	bool answered = make_ready(pg, err) == 0 && pg_exchange(pg, NULL, err) == PG_DONE;
	pg->queue_in_transaction = pg->in_transaction;
	return answered;
}

/* Reads all results of a script; 0 when none was an error. Failure of the connection closes it. */
static int read_script(struct pg *pg, struct error *err)
{
	int rc = 0;
	for (;;) {
		int unsent = PQflush(pg->conn);
		while (unsent >= 0 && !PQisBusy(pg->conn)) {
			PGresult *result = PQgetResult(pg->conn);
			ExecStatusType status = PQresultStatus(result);
			if (!result)
				return rc;
			if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY &&
				!rc) {
				pg_error_from(result, "script", err);
				rc = -1;
			}
			PQclear(result);
			if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
				pg_disconnect(pg);
				return error_set(err, CODE_INTERNAL, "PostgreSQL: COPY has no place in a script");
			}
		}
		if (pg_wait(pg, unsent > 0)) {
			pg_disconnect(pg);
			return error_set(err, CODE_TIMEOUT, "PostgreSQL: script: no answer within the deadline");
		}
		if (unsent < 0 || !PQconsumeInput(pg->conn)) {
			pg_error_lost(pg->conn, "script", "", err);
			pg_disconnect(pg);
			return -1;
		}
	}
}

int pg_script(struct pg *pg, const char *sql, struct error *err)
{
	if (pg->n_queued)
		BUG("pg_script with %zu parts queued", pg->n_queued);
	if (make_ready(pg, err) || (pg->rollback_due && pg_exchange(pg, NULL, err) != PG_DONE)) {
		pg->queue_in_transaction = pg->in_transaction;
		return -1;
	}
	int rc = -1;
	/* The simple protocol, the only one that takes several statements in one text, is for outside of pipelines. */
	if (PQexitPipelineMode(pg->conn) && PQsendQuery(pg->conn, sql))
		rc = read_script(pg, err);
	else
		pg_error_lost(pg->conn, "script", "", err);
	if (pg->conn && !PQenterPipelineMode(pg->conn))
		pg_disconnect(pg);
	PGTransactionStatusType status = PQtransactionStatus(pg->conn); /* PQTRANS_UNKNOWN without a connection */
	pg->in_transaction = status == PQTRANS_INTRANS;
	pg->rollback_due = status == PQTRANS_INERROR;
	pg->queue_in_transaction = pg->in_transaction;
	pg->server_timeout_ms = PG_TIMEOUT_UNKNOWN; /* the script may have set its own */
	return rc;
}
