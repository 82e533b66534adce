#include "pg_internal.h"
#include "clock.h"
#include "crash.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What may lie unsent in libpq's buffer before we wait for the server to take it. */
#define UNSENT_MAX (256 * 1024)

enum step_kind { STEP_ROLLBACK, STEP_SET, STEP_PREPARE, STEP_BEGIN, STEP_STATEMENT, STEP_COMMIT };

/* One thing sent, in order: answers come in the same order. */
struct step {
	enum step_kind kind;
	const struct pg_queued *queued;
	struct pg_prepared *prepared;
};

struct exchange {
	struct pg *pg;
	struct pg_rows *answers;
	struct error *err;
	struct step *steps;
	size_t n_steps, at; /* at: whose answer comes next */
	size_t n_answers;
	size_t unsent;
	int64_t set_timeout_ms;
	bool answered; /* the step at has had its result, its end is to come */
	bool failed, stale, committed, synced, broken;
	char sqlstate[6];
};

static void exchange_release(struct exchange *x)
{
	free(x->steps);
}

int pg_wait(struct pg *pg, bool unsent)
{
	struct pollfd fd = { .fd = PQsocket(pg->conn), .events = POLLIN };
	if (unsent)
		fd.events |= POLLOUT;
	int left = clock_left_ms(pg->deadline_ms);
	if (left == 0)
		return -1;
	/* Interrupted, or out of time: the caller's next turn tells. */
	poll(&fd, 1, left);
	return 0;
}

static const char *step_name(const struct exchange *x)
{
	static const char *const names[] = {
		[STEP_ROLLBACK] = "ROLLBACK", [STEP_SET] = "SET", [STEP_BEGIN] = "BEGIN", [STEP_COMMIT] = "COMMIT"
	};
	if (x->at >= x->n_steps)
		return "sync";
	const struct step *step = &x->steps[x->at];
	return step->queued && step->queued->statement ? step->queued->statement->name : names[step->kind];
}

/* Only the first failure tells the cause; what follows it in the pipeline is skipped by the server. */
static void fail(struct exchange *x, const PGresult *result)
{
	if (x->failed)
		return;
	struct error err;
	x->failed = true;
	x->stale = pg_error_is_stale(result);
	pg_error_from(result, step_name(x), &err);
	memcpy(x->sqlstate, err.sqlstate, sizeof(x->sqlstate));
	x->broken = pg_error_ends_connection(err.sqlstate);
	if (x->err)
		*x->err = err;
}

/* Takes over the result of a step that went well. */
static void accept(struct exchange *x, PGresult *result)
{
	struct step *step = &x->steps[x->at];
	switch (step->kind) {
	case STEP_PREPARE:
		step->prepared->confirmed = true;
		break;
	case STEP_STATEMENT: {
		struct pg_rows *rows = &x->answers[x->n_answers++];
		rows->result = result;
		rows->n = PQntuples(result);
		rows->affected = strtoll(PQcmdTuples(result), NULL, 10);
		return;
	}
	case STEP_COMMIT:
		x->committed = true;
		/* A transaction that had failed answers COMMIT with ROLLBACK, and calls that success. */
		if (strcmp(PQcmdStatus(result), "COMMIT") != 0 && !x->failed) {
			x->failed = true;
			error_set(x->err, CODE_INTERNAL, "PostgreSQL: COMMIT was answered by %s", PQcmdStatus(result));
		}
		break;
	case STEP_ROLLBACK:
	case STEP_SET:
	case STEP_BEGIN:
		break;
	}
	PQclear(result);
}

static void take(struct exchange *x, PGresult *result)
{
	switch (PQresultStatus(result)) {
	case PGRES_PIPELINE_SYNC:
		x->synced = true;
		PQclear(result);
		return;
	case PGRES_PIPELINE_ABORTED:
		break;
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
		x->answered = true;
		if (x->at >= x->n_steps)
			BUG("more answers than statements");
		accept(x, result);
		return;
	default: /* an error; or COPY, which has no place here */
		fail(x, result);
		x->broken = x->broken || PQresultStatus(result) != PGRES_FATAL_ERROR;
	}
	x->answered = true;
	PQclear(result);
}

/* Takes every answer that is here already; never waits. */
static void take_results(struct exchange *x)
{
	while (!x->synced && !PQisBusy(x->pg->conn)) {
		PGresult *result = PQgetResult(x->pg->conn);
		if (result) {
			take(x, result);
			continue;
		}
		if (!x->answered)
			return; /* nothing is under way */
		x->answered = false;
		x->at++;
	}
}

static int lost(struct exchange *x)
{
	pg_error_lost(x->pg->conn, step_name(x), x->sqlstate, x->err);
	pg_disconnect(x->pg);
	return -1;
}

static int out_of_time(struct exchange *x)
{
	error_set(x->err, CODE_TIMEOUT, "PostgreSQL: %s: no answer within the deadline", step_name(x));
	pg_disconnect(x->pg);
	return -1;
}

/* Moves bytes both ways until all is sent, or (to_end) all is answered. On failure the connection is closed. */
static int pump(struct exchange *x, bool to_end)
{
	PGconn *conn = x->pg->conn;
	for (;;) {
		int unsent = PQflush(conn);
		if (unsent < 0 || PQstatus(conn) == CONNECTION_BAD)
			return lost(x);
		take_results(x);
		if (to_end ? x->synced : !unsent)
			return 0;
		if (PQstatus(conn) == CONNECTION_BAD)
			return lost(x);
		if (pg_wait(x->pg, unsent))
			return out_of_time(x);
		if (!PQconsumeInput(conn)) {
			take_results(x); /* the server's last words, if it had any */
			return lost(x);
		}
	}
}

static int sent(
	struct exchange *x, int ok, enum step_kind kind, const struct pg_queued *queued, struct pg_prepared *prepared)
{
	if (!ok)
		return lost(x);
	x->steps[x->n_steps++] = (struct step){ kind, queued, prepared };
	return 0;
}

static int send_text(struct exchange *x, enum step_kind kind, const char *sql)
{
	return sent(x, PQsendQueryParams(x->pg->conn, sql, 0, NULL, NULL, NULL, NULL, 1), kind, NULL, NULL);
}

static int send_statement(struct exchange *x, const struct pg_queued *queued)
{
	PGconn *conn = x->pg->conn;
	const char *values[PG_PARAMS_MAX];
	int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
	struct pg_prepared *prepared = pg_prepared_find(x->pg, queued);
	if (!prepared) {
		prepared = pg_prepared_add(x->pg, queued);
		int ok = PQsendPrepare(conn, prepared->name, queued->statement->sql, prepared->n, prepared->types);
		if (sent(x, ok, STEP_PREPARE, queued, prepared))
			return -1;
	}
	for (int i = 0; i < queued->n; i++) {
		values[i] = queued->params[i].null ? NULL : queued->bytes + queued->params[i].offset;
		lengths[i] = queued->params[i].length;
		formats[i] = 1;
		x->unsent += 8 + (size_t)lengths[i];
	}
	int ok = PQsendQueryPrepared(conn, prepared->name, queued->n, values, lengths, formats, 1);
	if (sent(x, ok, STEP_STATEMENT, queued, prepared))
		return -1;
	x->unsent += 64;
	if (x->unsent < UNSENT_MAX)
		return 0;
	x->unsent = 0;
	return pump(x, false);
}

/* 8 steps to the octave, rounded down: calls of one kind mostly find the limit already set. */
static int64_t round_down(int64_t ms)
{
	int shift = 0;
	while (ms >> shift >= 16)
		shift++;
	return ms >> shift << shift;
}

/* The server's own limit has to end before the deadline does; sent only when the one that is set does not fit. */
static int send_timeout(struct exchange *x)
{
	int64_t usual = x->pg->options.statement_timeout_ms, now = x->pg->server_timeout_ms;
	int64_t left = clock_left_ms(x->pg->deadline_ms);
	char sql[64];
	x->set_timeout_ms = now;
	if (usual == 0)
		return 0;
	int64_t wanted = left >= usual - usual / 8 ? usual : round_down(left > 0 ? left : 1);
	if (now == wanted || (wanted != usual && now > 0 && now <= left && now >= left - left / 4))
		return 0;
	x->set_timeout_ms = wanted;
	snprintf(sql, sizeof(sql), "SET statement_timeout = %" PRId64, wanted);
	return send_text(x, STEP_SET, sql);
}

static int send_all(struct exchange *x)
{
	struct pg *pg = x->pg;
	if (pg->rollback_due && send_text(x, STEP_ROLLBACK, "ROLLBACK"))
		return -1;
	if (pg->n_queued && send_timeout(x))
		return -1;
	for (size_t i = 0; i < pg->n_queued; i++) {
		const struct pg_queued *queued = &pg->queue[i];
		int rc = queued->part == PG_PART_BEGIN	  ? send_text(x, STEP_BEGIN, "BEGIN")
			 : queued->part == PG_PART_COMMIT ? send_text(x, STEP_COMMIT, "COMMIT")
							  : send_statement(x, queued);
		if (rc)
			return -1;
	}
	if (!PQpipelineSync(pg->conn))
		return lost(x);
	return pump(x, true);
}

enum pg_outcome pg_exchange(struct pg *pg, struct pg_rows *answers, struct error *err)
{
	CLEANUP(exchange_release) struct exchange x = { .pg = pg, .answers = answers, .err = err };
	bool was_in_transaction = pg->in_transaction;
	x.set_timeout_ms = pg->server_timeout_ms;
	/* Each part may need a PREPARE before it; then ROLLBACK and SET. */
	crash_point("before_postgres");
	x.steps = must_alloc((pg->n_queued * 2 + 2) * sizeof(x.steps[0]));
	if (send_all(&x))
		return PG_LOST;
	/* After a sync: what had to be committed is. */
	crash_point("stored_in_postgres");
	PGTransactionStatusType status = PQtransactionStatus(pg->conn);
	pg->in_transaction = !x.failed && status == PQTRANS_INTRANS;
	pg->rollback_due = status == PQTRANS_INERROR || (x.failed && status == PQTRANS_INTRANS);
	/* A SET inside what is rolled back is undone with it. */
	pg->server_timeout_ms = x.failed ? PG_TIMEOUT_UNKNOWN : x.set_timeout_ms;
	if (!x.failed)
		return PG_DONE;
	pg_prepared_forget(pg, false);
	if (x.broken || x.stale)
		pg_disconnect(pg);
	if (!x.stale)
		return x.broken ? PG_LOST : PG_FAILED;
	if (was_in_transaction || x.committed) {
		error_set(
			err, CODE_UNAVAILABLE, "PostgreSQL: a prepared statement became invalid inside a transaction");
		return PG_FAILED;
	}
	return PG_STALE;
}
