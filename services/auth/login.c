#include "login.h"

#include "account.h"
#include "attempts.h"
#include "log.h"
#include "logged_in.h"
#include "password.h"

struct request {
	const char *login;
	const char *password;
	struct opt_int char_id;
};
static const struct field request_fields[] = {
	FIELD(struct request, login, .required = true, .min = 1, .max = 64, .help = "the name given to register"),
	FIELD(struct request, password, .required = true, .secret = true, .min = 1, .max = 128, .help = "the password"),
	FIELD(struct request, char_id, .nullable = true, .min = 1, .max = INT_LIMIT,
		.help = "the character to play; the sole one where there is only one"),
};
const struct schema auth_login_request = SCHEMA(struct request, request_fields, .name = "login request");

/* A hash made with less effort than today's is replaced while the password is at hand. That may fail: there is another time. */
static void renew_hash(struct call *call, struct account *account, const char *password)
{
	char hash[PASSWORD_HASH_MAX];
	struct error err;

	if (!password_is_dated(account->password_hash))
		return;
	if (password_hash(password, call->deadline_ms, hash, &err) ||
		account_rehash(call, account->id, account->password_hash, hash, &err))
		log_line(LOG_WARN, "not_rehashed", "account %lld: %s", (long long)account->id, err.text);
	else
		account->password_hash = scratch_strdup(&call->scratch, hash);
}

static int prove(struct call *call, struct account *account, struct error *err)
{
	CLEANUP(password_leave) struct password_place place = { 0 };
	const struct request *in = call_args(call);
	bool right;

	if (password_enter(&place, err) || account_by_login(call, in->login, account, err) ||
		attempt_password(call, in->login, in->password, account->password_hash, &right, err))
		return -1;
	if (!right)
		return error_set(err, CODE_UNAUTHORIZED, "the login or the password is wrong");
	renew_hash(call, account, in->password);
	return 0;
}

enum outcome auth_login(struct call *call)
{
	const struct request *in = call_args(call);
	struct account account;
	struct error err;

	if (prove(call, &account, &err))
		return retry(call, &err);
	return log_in(call, account.id, account.password_hash, &in->char_id);
}
