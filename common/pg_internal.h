/* What the pg*.c files share. Nobody else includes this, nor libpq-fe.h. */
#ifndef GARRISON_PG_INTERNAL_H
#define GARRISON_PG_INTERNAL_H

#include <libpq-fe.h>

#include "pg.h"

/* Type OIDs, which PostgreSQL never changes. */
enum {
	OID_BOOL = 16,
	OID_BYTEA = 17,
	OID_NAME = 19,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_JSON = 114,
	OID_JSON_ARRAY = 199,
	OID_FLOAT4 = 700,
	OID_FLOAT8 = 701,
	OID_UNKNOWN = 705,
	OID_BOOL_ARRAY = 1000,
	OID_BYTEA_ARRAY = 1001,
	OID_INT4_ARRAY = 1007,
	OID_TEXT_ARRAY = 1009,
	OID_INT8_ARRAY = 1016,
	OID_BPCHAR = 1042,
	OID_VARCHAR = 1043,
	OID_TIMESTAMPTZ = 1184,
	OID_TIMESTAMPTZ_ARRAY = 1185,
	OID_UUID = 2950,
	OID_UUID_ARRAY = 2951,
	OID_JSONB = 3802,
	OID_JSONB_ARRAY = 3807
};

/* 2000-01-01, where PostgreSQL's time stamps begin, in Unix microseconds. */
#define PG_EPOCH_US INT64_C(946684800000000)

struct pg_queued_param {
	unsigned type;
	int length;
	size_t offset;
	bool null;
};

enum pg_part { PG_PART_BEGIN, PG_PART_STATEMENT, PG_PART_COMMIT };

/* One part of the pipeline that waits to be sent. Kept until its answer is read, so that it can be sent again. */
struct pg_queued {
	enum pg_part part;
	const struct pg_statement *statement;
	int n;
	struct pg_queued_param *params;
	char *bytes;
};

/* A statement this connection's server knows, under the parameter types it was first used with. */
struct pg_prepared {
	struct pg_prepared *next;
	const struct pg_statement *statement;
	char name[64];
	bool confirmed;
	int n;
	unsigned types[];
};

#define PG_PREPARED_BUCKETS 64
#define PG_TIMEOUT_UNKNOWN INT64_C(-1)

struct pg {
	struct pg_options options;
	PGconn *conn;
	int64_t deadline_ms;
	bool barred;
	struct pg_prepared *prepared[PG_PREPARED_BUCKETS];
	unsigned n_prepared;
	unsigned first_host; /* where in a list of hosts the next connection begins */
	bool in_transaction; /* on the server, after the last sync */
	bool rollback_due;   /* the server holds a failed transaction */
	int64_t server_timeout_ms;
	bool queue_in_transaction; /* as things will be once the queue has run */
	bool queue_wrong;	   /* begin inside a transaction, or commit outside */
	struct pg_queued *queue;
	size_t n_queued, queue_cap, n_statements;
};

/* pg_connect.c: opens a connection by the deadline, in pipeline mode. Failure: unavailable, down. */
int pg_connect(struct pg *pg, struct error *err);
/* Closes without waiting for anything. */
void pg_disconnect(struct pg *pg);

/* pg_pipeline.c: what became of the queue. After PG_LOST the connection is closed. */
enum pg_outcome { PG_DONE, PG_FAILED, PG_STALE, PG_LOST };
/* Sends the queue and a sync, reads the answers into n_statements rows. PG_STALE: nothing happened and it may be run again. */
enum pg_outcome pg_exchange(struct pg *pg, struct pg_rows *answers, struct error *err);
/* Waits until the connection can be read (and written, when there is something unsent) or the deadline has passed: -1. */
int pg_wait(struct pg *pg, bool unsent);

/* pg_prepared.c */
struct pg_prepared *pg_prepared_find(struct pg *pg, const struct pg_queued *queued);
/* Makes an entry and its name; not yet confirmed. */
struct pg_prepared *pg_prepared_add(struct pg *pg, const struct pg_queued *queued);
/* Forgets those whose Parse the server has not confirmed, or all. */
void pg_prepared_forget(struct pg *pg, bool all);

/* pg_error.c: fills err from a server's error; what names the statement, or NULL. */
void pg_error_from(const PGresult *result, const char *what, struct error *err);
/* Fills err for a connection that is gone: unavailable, down; sqlstate "" when none is known. */
void pg_error_lost(const PGconn *conn, const char *what, const char *sqlstate, struct error *err);
/* True for errors after which this connection must not be used again. */
bool pg_error_ends_connection(const char *sqlstate);
/* True when a prepared statement has to be prepared anew. */
bool pg_error_is_stale(const PGresult *result);

#endif
