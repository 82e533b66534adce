#include "logout.h"

#include "crash.h"
#include "login_session.h"

struct request {
	const char *access_token;
	bool everywhere;
};
static const struct field request_fields[] = {
	FIELD(struct request, access_token, .required = true, .secret = true, .max = 4096,
		.help = "of the login to end"),
	FIELD(struct request, everywhere, .help = "end all of the account's logins"),
};
const struct schema auth_logout_request = SCHEMA(struct request, request_fields, .name = "logout request");

struct result {
	bool revoked;
};
static const struct field result_fields[] = {
	FIELD(struct result, revoked, .required = true, .help = "always true"),
};
const struct schema auth_logout_result = SCHEMA(struct result, result_fields, .name = "logout result");

static int revoke(struct call *call, const struct token_claims *claims, bool everywhere, struct error *err)
{
	static const struct uuid none;

	if (!everywhere)
		return login_session_revoke(call, &claims->sid, "logout", err);
	login_session_queue_revoke_others(call->pg, claims->account_id, &none, "logout");
	return pg_sync(call->pg, NULL, 1, err);
}

enum outcome auth_logout(struct call *call)
{
	const struct request *in = call_args(call);
	const struct result result = { .revoked = true };
	struct token_claims claims;
	struct error err;

	if (login_session_authorize(call, in->access_token, &claims, &err) ||
		revoke(call, &claims, in->everywhere, &err))
		return retry(call, &err);
	crash_point("login_revoked");
	return reply_ok(call, &result);
}
