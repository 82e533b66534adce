#include "logged_in.h"

#include "account.h"
#include "auth_settings.h"
#include "crash.h"
#include "state_restore.h"

struct logged_in {
	const char *access_token;
	const char *refresh_token;
	const char *token_type;
	int64_t expires_in;
	int64_t account_id;
	struct opt_int char_id;
	struct list characters;
	bool state_restored;
};
static const struct field fields[] = {
	FIELD(struct logged_in, access_token, .required = true, .secret = true, .help = "a JWT, for every request"),
	FIELD(struct logged_in, refresh_token, .required = true, .secret = true, .help = "for the next pair, once"),
	FIELD(struct logged_in, token_type, .required = true, .help = "Bearer"),
	FIELD(struct logged_in, expires_in, .required = true, .help = "seconds that the access token is valid"),
	FIELD(struct logged_in, account_id, .required = true, .help = "the account"),
	FIELD(struct logged_in, char_id, .nullable = true, .help = "the character that the tokens act for"),
	FIELD(struct logged_in, characters, .required = true, .of = &character_schema,
		.help = "the account's characters"),
	FIELD(struct logged_in, state_restored, .required = true,
		.help = "the character's live state is in place; false without a character, or while it could not be "
			"restored"),
};
const struct schema logged_in_schema = SCHEMA(struct logged_in, fields, .name = "logged in");

struct event {
	int64_t account_id;
	struct opt_int char_id;
};
static const struct field event_fields[] = {
	FIELD(struct event, account_id, .required = true, .help = "the account"),
	FIELD(struct event, char_id, .nullable = true, .help = "the character that the login acts for"),
};
static const struct schema event_schema = SCHEMA(struct event, event_fields, .name = "auth.logged_in");

const struct service_event auth_events[AUTH_EVENTS] = {
	{ "logged_in", "An account has proved itself and has a new login", &event_schema },
};

static struct opt_int char_id_of(const struct login_session *session)
{
	return (struct opt_int){ .set = session->char_id != 0, .value = session->char_id };
}

void publish_logged_in(struct call *call, const struct login_session *session)
{
	const struct event event = { .account_id = session->account_id, .char_id = char_id_of(session) };
	char sid[UUID_TEXT_MAX];

	publish_event(call, "logged_in",
		scratch_printf(&call->scratch, "%s:logged_in", uuid_format(&session->sid, sid)), &event_schema, &event);
}

enum outcome reply_logged_in(struct call *call, const struct login_session *session, const char *refresh_token,
	const struct list *characters)
{
	CLEANUP(text_release) struct text access_token = { 0 };
	struct logged_in result = {
		.refresh_token = refresh_token,
		.token_type = "Bearer",
		.expires_in = auth_settings.access_ttl_ms / 1000,
		.account_id = session->account_id,
		.char_id = char_id_of(session),
		.characters = *characters,
		.state_restored = session->char_id && state_restore(call, session->char_id),
	};

	crash_point("login_restored");
	/* Last, so that its time begins when the player gets it. */
	login_session_sign(session, &access_token);
	result.access_token = text_str(&access_token);
	return reply_ok(call, &result);
}

enum outcome log_in(struct call *call, int64_t account_id, const char *proved_by, const struct opt_int *char_id)
{
	struct login_session session = { .account_id = account_id };
	char refresh_token[REFRESH_TOKEN_MAX];
	struct list characters;
	struct error err;

	if (account_characters(call, account_id, &characters, &err) ||
		character_choose(&characters, char_id, 0, &session.char_id, &err) ||
		login_session_open(call, &session, proved_by, refresh_token, &err))
		return retry(call, &err);
	crash_point("login_opened");
	publish_logged_in(call, &session);
	return reply_logged_in(call, &session, refresh_token, &characters);
}
