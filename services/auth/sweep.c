#include "sweep.h"

#include "cleanup.h"
#include "log.h"

#define AT_ONCE "1000"
#define AT_ONCE_N 1000
#define NEXT_MS (10 * 60 * 1000)
#define MORE_MS 200

/* A login's row goes when every token of it has expired, and takes those with it that are left. */
static const struct pg_statement statements[] = {
	{ "auth_sweep_tokens",
		"DELETE FROM auth_refresh_tokens WHERE token_hash IN (SELECT token_hash FROM auth_refresh_tokens"
		" WHERE expires_at < now() ORDER BY expires_at LIMIT " AT_ONCE ")" },
	{ "auth_sweep_logins", "DELETE FROM auth_logins WHERE sid IN (SELECT sid FROM auth_logins"
			       " WHERE expires_at < now() ORDER BY expires_at LIMIT " AT_ONCE ")" },
	{ "auth_sweep_requests",
		"DELETE FROM auth_character_requests WHERE (account_id, message_id) IN"
		" (SELECT account_id, message_id FROM auth_character_requests"
		" WHERE created_at < now() - interval '7 days' ORDER BY created_at LIMIT " AT_ONCE ")" },
	{ "auth_sweep_keys", "DELETE FROM auth_signing_keys WHERE retired_at < now() - interval '1 day'" },
};

int64_t auth_sweep(struct call *call)
{
	int64_t next_ms = NEXT_MS;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
		CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

		if (pg_query(call->pg, &statements[i], NULL, &rows, &err)) {
			log_line(LOG_WARN, "sweep", "%s", err.text);
			call->down = err.down;
			return NEXT_MS / 10;
		}
		if (rows.affected >= AT_ONCE_N)
			next_ms = MORE_MS;
	}
	return next_ms;
}
