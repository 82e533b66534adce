#include "register.h"

#include "account.h"
#include "crash.h"
#include "password.h"

struct request {
	const char *login;
	const char *password;
};
static const struct field request_fields[] = {
	FIELD(struct request, login, .required = true, .min = 3, .max = 64, .help = "the name to log in by"),
	FIELD(struct request, password, .required = true, .secret = true, .min = 8, .max = 128, .help = "the password"),
};
const struct schema auth_register_request = SCHEMA(struct request, request_fields, .name = "register request");

struct result {
	int64_t account_id;
};
static const struct field result_fields[] = {
	FIELD(struct result, account_id, .required = true, .help = "the new account"),
};
const struct schema auth_register_result = SCHEMA(struct result, result_fields, .name = "register result");

enum outcome auth_register(struct call *call)
{
	CLEANUP(password_leave) struct password_place place = { 0 };
	const struct request *in = call_args(call);
	char hash[PASSWORD_HASH_MAX];
	struct account taken;
	struct result result;
	struct error err;

	if (account_by_login(call, in->login, &taken, &err))
		return retry(call, &err);
	if (taken.id)
		return refuse(call, CODE_CONFLICT, "this login is taken");
	if (password_enter(&place, &err) || password_hash(in->password, call->deadline_ms, hash, &err) ||
		account_add(call, in->login, hash, &result.account_id, &err))
		return retry(call, &err);
	crash_point("account_added");
	return reply_ok(call, &result);
}
