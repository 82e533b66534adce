#include "refresh.h"

#include "account.h"
#include "crash.h"
#include "logged_in.h"

struct request {
	const char *refresh_token;
	struct opt_int char_id;
};
static const struct field request_fields[] = {
	FIELD(struct request, refresh_token, .required = true, .secret = true, .max = 4096,
		.help = "from the last pair"),
	FIELD(struct request, char_id, .nullable = true, .min = 1, .max = INT_LIMIT,
		.help = "the character to go on as; the same where left out"),
};
const struct schema auth_refresh_request = SCHEMA(struct request, request_fields, .name = "refresh request");

/* A character that is not the account's is refused before the token is spent. */
enum outcome auth_refresh(struct call *call)
{
	const struct request *in = call_args(call);
	char refresh_token[REFRESH_TOKEN_MAX];
	struct login_session session;
	struct list characters;
	struct error err;

	if (login_session_find(call, in->refresh_token, &session, &err) ||
		account_characters(call, session.account_id, &characters, &err) ||
		character_choose(&characters, &in->char_id, session.char_id, &session.char_id, &err) ||
		login_session_renew(call, &session, in->refresh_token, refresh_token, &err))
		return retry(call, &err);
	crash_point("refresh_renewed");
	return reply_logged_in(call, &session, refresh_token, &characters);
}
