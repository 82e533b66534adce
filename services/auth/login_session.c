#include "login_session.h"

#include <sodium.h>
#include <string.h>

#include "auth_settings.h"
#include "clock.h"
#include "keyring.h"

#define REFRESH_TOKEN_LEN 32
#define BASE64URL sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* ---- refresh tokens ---- */

struct token_hash {
	unsigned char bytes[crypto_hash_sha256_BYTES];
};

static struct token_hash make_refresh_token(char text[static REFRESH_TOKEN_MAX])
{
	unsigned char bytes[REFRESH_TOKEN_LEN];
	struct token_hash hash;

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2base64(text, REFRESH_TOKEN_MAX, bytes, sizeof(bytes), BASE64URL);
	crypto_hash_sha256(hash.bytes, bytes, sizeof(bytes));
	sodium_memzero(bytes, sizeof(bytes));
	return hash;
}

static int hash_refresh_token(const char *text, struct token_hash *hash)
{
	unsigned char bytes[REFRESH_TOKEN_LEN];
	size_t len;

	if (sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL, &len, NULL, BASE64URL) ||
		len != sizeof(bytes))
		return -1;
	crypto_hash_sha256(hash->bytes, bytes, sizeof(bytes));
	sodium_memzero(bytes, sizeof(bytes));
	return 0;
}

/* A login's row must outlive every access token of it. */
static double login_ttl_ms(void)
{
	int64_t access_ms = auth_settings.access_ttl_ms, refresh_ms = auth_settings.refresh_ttl_ms;

	return (double)(refresh_ms > access_ms ? refresh_ms : access_ms);
}

/* ---- opening ---- */

static void add_char_id(struct pg_params *params, int64_t char_id)
{
	if (char_id)
		pg_add_int8(params, char_id);
	else
		pg_add_null(params);
}

int login_session_open(struct call *call, struct login_session *session, const char *proved_by,
	char refresh_token[static REFRESH_TOKEN_MAX], struct error *err)
{
	/* The lock waits for a change of the password that is under way: it would not see this login, to revoke it with the others. */
	static const struct pg_statement open = { "auth_open_login",
		"WITH account AS (SELECT id FROM accounts WHERE id = $2 AND ($7::text IS NULL OR password_hash = $7) "
		"FOR SHARE),"
		" login AS (INSERT INTO auth_logins (sid, account_id, char_id, expires_at)"
		" SELECT $1, id, $3, now() + $4 * interval '1 millisecond' FROM account RETURNING sid)"
		" INSERT INTO auth_refresh_tokens (token_hash, sid, expires_at)"
		" SELECT $5, sid, now() + $6 * interval '1 millisecond' FROM login RETURNING 1" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct token_hash hash = make_refresh_token(refresh_token);
	struct pg_params params = { 0 };

	session->sid = uuid_random();
	session->generation = 1;
	pg_add_uuid(&params, &session->sid);
	pg_add_int8(&params, session->account_id);
	add_char_id(&params, session->char_id);
	pg_add_float8(&params, login_ttl_ms());
	pg_add_bytea(&params, hash.bytes, sizeof(hash.bytes));
	pg_add_float8(&params, (double)auth_settings.refresh_ttl_ms);
	if (proved_by)
		pg_add_text(&params, proved_by);
	else
		pg_add_null(&params);
	if (pg_query(call->pg, &open, &params, &rows, err))
		return -1;
	return rows.n ? 0 : error_set(err, CODE_UNAVAILABLE, "the password was changed just now; log in again");
}

/* ---- refreshing ---- */

#define REVOKED_FIELDS "generation = generation + 1, revoked_at = clock_timestamp(), reason = "

static const struct pg_statement revoke = { "auth_revoke_login",
	"UPDATE auth_logins SET " REVOKED_FIELDS "$2 WHERE sid = $1 AND revoked_at IS NULL" };

static void queue_revoke(struct pg *pg, const struct uuid *sid, const char *reason)
{
	struct pg_params params = { 0 };

	pg_add_uuid(&params, sid);
	pg_add_text(&params, reason);
	pg_queue(pg, &revoke, &params);
}

/* Seen again after its grace, a token is in two hands, and nobody can tell which is the thief's. */
static int refuse_replay(struct call *call, const struct uuid *sid, struct error *err)
{
	queue_revoke(call->pg, sid, "replay");
	pg_commit(call->pg);
	if (pg_sync(call->pg, NULL, 1, err))
		return -1;
	return error_set(err, CODE_UNAUTHORIZED, "this refresh token was used before; the login is revoked");
}

static int judge(struct call *call, const struct pg_rows *rows, struct login_session *session, struct error *err)
{
	struct uuid sid;

	if (!rows->n)
		return error_set(err, CODE_UNAUTHORIZED, "unknown refresh token");
	sid = pg_uuid(rows, 0, 0);
	if (pg_bool(rows, 0, 4))
		return error_set(err, CODE_UNAUTHORIZED, "this login is revoked");
	if (pg_bool(rows, 0, 5))
		return error_set(err, CODE_UNAUTHORIZED, "this refresh token has expired");
	if (!pg_is_null(rows, 0, 6) && pg_float8(rows, 0, 6) > (double)auth_settings.refresh_grace_ms)
		return refuse_replay(call, &sid, err);
	*session = (struct login_session){
		.sid = sid,
		.account_id = pg_int(rows, 0, 1),
		.char_id = pg_int(rows, 0, 2),
		.generation = pg_int(rows, 0, 3),
	};
	return 0;
}

int login_session_find(struct call *call, const char *refresh_token, struct login_session *session, struct error *err)
{
	/* Both rows are locked, so that what is read of them is what they are once the lock is had. */
	static const struct pg_statement find = { "auth_find_refresh_token",
		"SELECT l.sid, l.account_id, l.char_id, l.generation, l.revoked_at IS NOT NULL,"
		" t.expires_at <= clock_timestamp(),"
		" (extract(epoch FROM clock_timestamp() - t.spent_at) * 1000)::float8"
		" FROM auth_refresh_tokens t JOIN auth_logins l ON l.sid = t.sid WHERE t.token_hash = $1 FOR UPDATE" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	struct token_hash hash;

	if (hash_refresh_token(refresh_token, &hash))
		return error_set(err, CODE_UNAUTHORIZED, "unknown refresh token");
	pg_add_bytea(&params, hash.bytes, sizeof(hash.bytes));
	pg_begin(call->pg);
	pg_queue(call->pg, &find, &params);
	return pg_sync(call->pg, &rows, 1, err) || judge(call, &rows, session, err) ? -1 : 0;
}

static void queue_renewal(struct pg *pg, const struct login_session *session)
{
	static const struct pg_statement renew = { "auth_renew_login",
		"UPDATE auth_logins SET used_at = now(), char_id = $2,"
		" expires_at = greatest(expires_at, now() + $3 * interval '1 millisecond') WHERE sid = $1" };
	struct pg_params params = { 0 };

	pg_add_uuid(&params, &session->sid);
	add_char_id(&params, session->char_id);
	pg_add_float8(&params, login_ttl_ms());
	pg_queue(pg, &renew, &params);
}

int login_session_renew(struct call *call, const struct login_session *session, const char *spent,
	char refresh_token[static REFRESH_TOKEN_MAX], struct error *err)
{
	static const struct pg_statement spend = {
		"auth_spend_refresh_token",
		"UPDATE auth_refresh_tokens SET spent_at = coalesce(spent_at, clock_timestamp()) WHERE token_hash = $1"
	};
	static const struct pg_statement add = { "auth_add_refresh_token",
		"INSERT INTO auth_refresh_tokens (token_hash, sid, expires_at)"
		" VALUES ($1, $2, now() + $3 * interval '1 millisecond')" };
	struct token_hash hash = make_refresh_token(refresh_token), spent_hash;
	struct pg_params spending = { 0 }, adding = { 0 };

	if (hash_refresh_token(spent, &spent_hash))
		BUG("a refresh token that was found is not one");
	pg_add_bytea(&spending, spent_hash.bytes, sizeof(spent_hash.bytes));
	pg_add_bytea(&adding, hash.bytes, sizeof(hash.bytes));
	pg_add_uuid(&adding, &session->sid);
	pg_add_float8(&adding, (double)auth_settings.refresh_ttl_ms);
	pg_queue(call->pg, &spend, &spending);
	pg_queue(call->pg, &add, &adding);
	queue_renewal(call->pg, session);
	pg_commit(call->pg);
	return pg_sync(call->pg, NULL, 3, err);
}

/* ---- revoking ---- */

int login_session_revoke(struct call *call, const struct uuid *sid, const char *reason, struct error *err)
{
	queue_revoke(call->pg, sid, reason);
	return pg_sync(call->pg, NULL, 1, err);
}

void login_session_queue_revoke_others(struct pg *pg, int64_t account_id, const struct uuid *keep, const char *reason)
{
	static const struct pg_statement others = { "auth_revoke_logins",
		"UPDATE auth_logins SET " REVOKED_FIELDS
		"$3 WHERE account_id = $1 AND sid <> $2 AND revoked_at IS NULL" };
	struct pg_params params = { 0 };

	pg_add_int8(&params, account_id);
	pg_add_uuid(&params, keep);
	pg_add_text(&params, reason);
	pg_queue(pg, &others, &params);
}

/* ---- access tokens ---- */

void login_session_sign(const struct login_session *session, struct text *out)
{
	int64_t now_s = clock_real_us() / 1000000;
	const struct token_claims claims = {
		.account_id = session->account_id,
		.char_id = session->char_id,
		.sid = session->sid,
		.gen = session->generation,
		.iat_s = now_s,
		.exp_s = now_s + auth_settings.access_ttl_ms / 1000,
	};

	keyring_sign(&claims, out);
}

int login_session_authorize(struct call *call, const char *access_token, struct token_claims *claims, struct error *err)
{
	static const struct pg_statement honoured = { "auth_honoured",
		"SELECT 1 FROM auth_logins WHERE sid = $1 AND generation = $2 AND account_id = $3 AND revoked_at IS "
		"NULL" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	enum token_verdict verdict;
	struct token_keys keys;

	keyring_keys(&keys);
	verdict = token_verify(&keys, access_token, strlen(access_token), clock_real_us() / 1000000, claims);
	if (verdict != TOKEN_OK)
		return error_set(
			err, CODE_UNAUTHORIZED, "the access token is not valid: %s", token_verdict_name(verdict));
	pg_add_uuid(&params, &claims->sid);
	pg_add_int8(&params, claims->gen);
	pg_add_int8(&params, claims->account_id);
	if (pg_query(call->pg, &honoured, &params, &rows, err))
		return -1;
	if (!rows.n)
		return error_set(
			err, CODE_UNAUTHORIZED, "the access token is not valid: %s", token_verdict_name(TOKEN_REVOKED));
	return 0;
}
