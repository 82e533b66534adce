#include "pg_internal.h"

#include <stdio.h>
#include <string.h>

struct verdict {
	const char *prefix; /* of the SQLSTATE */
	enum code code;
	bool ends_connection;
};

/* The first prefix that fits decides. */
static const struct verdict verdicts[] = {
	{ "55P03", CODE_TIMEOUT, false },     /* lock_timeout */
	{ "57014", CODE_TIMEOUT, false },     /* statement_timeout */
	{ "57P01", CODE_UNAVAILABLE, true },  /* shutdown, or a killed backend */
	{ "57P02", CODE_UNAVAILABLE, true },  /* crash of another backend */
	{ "57P03", CODE_UNAVAILABLE, true },  /* starting up */
	{ "57P05", CODE_UNAVAILABLE, true },  /* idle_session_timeout */
	{ "25P03", CODE_UNAVAILABLE, true },  /* idle_in_transaction_session_timeout */
	{ "08", CODE_UNAVAILABLE, true },     /* connection */
	{ "25006", CODE_UNAVAILABLE, false }, /* read only: no longer the primary */
	{ "40", CODE_UNAVAILABLE, false },    /* deadlock, serialization */
	{ "53", CODE_UNAVAILABLE, false },    /* too many connections, disk full, memory */
	{ "58", CODE_UNAVAILABLE, false },    /* the system's errors */
	{ "23505", CODE_CONFLICT, false },
	{ "23P01", CODE_CONFLICT, false },
	{ "23503", CODE_NOT_FOUND, false },
	{ "23502", CODE_INVALID_PAYLOAD, false },
	{ "23514", CODE_INVALID_PAYLOAD, false },
	{ "22", CODE_INVALID_PAYLOAD, false },
};

static const struct verdict *judge(const char *sqlstate)
{
	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
		if (strncmp(sqlstate, verdicts[i].prefix, strlen(verdicts[i].prefix)) == 0)
			return &verdicts[i];
	return NULL;
}

void pg_error_from(const PGresult *result, const char *what, struct error *err)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
	const struct verdict *verdict = sqlstate ? judge(sqlstate) : NULL;
	/* Without one it is no word of the server's: libpq found no memory, or lost its place. */
	enum code code = verdict ? verdict->code : sqlstate ? CODE_INTERNAL : CODE_UNAVAILABLE;
	/* The detail is left out: it quotes the row's values. */
	if (!message)
		message = PQresultErrorMessage(result);
	if (verdict && verdict->ends_connection)
		error_down(err, STORE_POSTGRES, "PostgreSQL: %s: %s", what, message);
	else
		error_set(err, code, "PostgreSQL: %s: %s%s%s", what, message, constraint ? ", constraint " : "",
			constraint ? constraint : "");
	if (err && sqlstate)
		snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
}

void pg_error_lost(const PGconn *conn, const char *what, const char *sqlstate, struct error *err)
{
	char message[256];
	snprintf(message, sizeof(message), "%s", PQerrorMessage(conn));
	for (char *c = message; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	size_t len = strlen(message);
	while (len && message[len - 1] == ' ')
		message[--len] = '\0';
	error_down(err, STORE_POSTGRES, "PostgreSQL: %s: %s", what, message);
	if (err)
		snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
}

bool pg_error_ends_connection(const char *sqlstate)
{
	const struct verdict *verdict = judge(sqlstate);
	/* A server that turned read only is left too: the next connection looks for the primary. */
	return (verdict && verdict->ends_connection) || strcmp(sqlstate, "25006") == 0;
}

bool pg_error_is_stale(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
	if (!sqlstate)
		return false;
	if (strcmp(sqlstate, "26000") == 0)
		return true; /* deallocated behind our back */
	/* "cached plan must not change result type", whatever the server's language */
	return strcmp(sqlstate, "0A000") == 0 && function && strcmp(function, "RevalidateCachedQuery") == 0;
}
