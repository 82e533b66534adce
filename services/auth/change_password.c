#include "change_password.h"

#include "account.h"
#include "attempts.h"
#include "crash.h"
#include "login_session.h"
#include "password.h"

struct request {
	const char *access_token;
	const char *old_password;
	const char *new_password;
};
static const struct field request_fields[] = {
	FIELD(struct request, access_token, .required = true, .secret = true, .max = 4096,
		.help = "of the account's login"),
	FIELD(struct request, old_password, .required = true, .secret = true, .min = 1, .max = 128,
		.help = "the password until now"),
	FIELD(struct request, new_password, .required = true, .secret = true, .min = 8, .max = 128,
		.help = "the password from now on"),
};
const struct schema auth_change_password_request = SCHEMA(
	struct request, request_fields, .name = "change_password request");

struct result {
	bool changed;
};
static const struct field result_fields[] = {
	FIELD(struct result, changed, .required = true, .help = "always true"),
};
const struct schema auth_change_password_result = SCHEMA(
	struct result, result_fields, .name = "change_password result");

/* The new hash and the end of the other logins, together. */
static int store(struct call *call, const struct token_claims *claims, const struct account *account, const char *hash,
	struct error *err)
{
	static const struct pg_statement change = { "auth_change_password",
		"UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING 1" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, account->id);
	pg_add_text(&params, account->password_hash);
	pg_add_text(&params, hash);
	pg_begin(call->pg);
	pg_queue(call->pg, &change, &params);
	if (pg_sync(call->pg, &rows, 1, err))
		return -1;
	if (!rows.n)
		return error_set(err, CODE_CONFLICT, "the password was changed by another at the same time");
	login_session_queue_revoke_others(call->pg, account->id, &claims->sid, "password");
	pg_commit(call->pg);
	return pg_sync(call->pg, NULL, 1, err);
}

static int prove(struct call *call, const struct account *account, struct error *err)
{
	const struct request *in = call_args(call);
	bool right;

	if (!account->id || !account->login)
		return error_set(err, CODE_FORBIDDEN, "this account has no password: it logs in by Telegram");
	if (attempt_password(call, account->login, in->old_password, account->password_hash, &right, err))
		return -1;
	return right ? 0 : error_set(err, CODE_UNAUTHORIZED, "the old password is wrong");
}

enum outcome auth_change_password(struct call *call)
{
	CLEANUP(password_leave) struct password_place place = { 0 };
	const struct request *in = call_args(call);
	const struct result result = { .changed = true };
	char hash[PASSWORD_HASH_MAX];
	struct token_claims claims;
	struct account account;
	struct error err;

	if (login_session_authorize(call, in->access_token, &claims, &err) || password_enter(&place, &err) ||
		account_by_id(call, claims.account_id, &account, &err) || prove(call, &account, &err) ||
		password_hash(in->new_password, call->deadline_ms, hash, &err) ||
		store(call, &claims, &account, hash, &err))
		return retry(call, &err);
	crash_point("password_changed");
	return reply_ok(call, &result);
}
