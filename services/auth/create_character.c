#include "create_character.h"

#include "crash.h"
#include "login_session.h"
#include "state_restore.h"

struct request {
	const char *access_token;
	const char *name;
	int gender;
};
static const char *const genders[] = { "male", "female", "other" };
static const struct field request_fields[] = {
	FIELD(struct request, access_token, .required = true, .secret = true, .max = 4096,
		.help = "of the account's login"),
	FIELD(struct request, name, .required = true, .min = 1, .max = 32, .help = "the character's name"),
	FIELD(struct request, gender, .required = true, .choices = genders, .n_choices = ARRAY_LEN(genders),
		.help = "the character's gender"),
};
const struct schema auth_create_character_request = SCHEMA(
	struct request, request_fields, .name = "create_character request");

struct result {
	int64_t char_id;
	bool state_restored;
};
static const struct field result_fields[] = {
	FIELD(struct result, char_id, .required = true, .help = "the new character; log in, or refresh, to act for it"),
	FIELD(struct result, state_restored, .required = true, .help = "its live state is in place"),
};
const struct schema auth_create_character_result = SCHEMA(
	struct result, result_fields, .name = "create_character result");

#define INSERT_CHARACTER                                                                                               \
	"WITH character AS (INSERT INTO characters (account_id, name, gender) VALUES ($1, $2, $3) RETURNING id),"      \
	" stats AS (INSERT INTO character_stats (character_id) SELECT id FROM character)"

/* *char_id 0: this account has sent no such message before. */
static int find_made(struct call *call, int64_t account_id, int64_t *char_id, struct error *err)
{
	static const struct pg_statement find = { "auth_find_request",
		"SELECT char_id FROM auth_character_requests WHERE account_id = $1 AND message_id = $2" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	*char_id = 0;
	if (!call->idempotency_key)
		return 0;
	pg_add_int8(&params, account_id);
	pg_add_text(&params, call->message_id);
	if (pg_query(call->pg, &find, &params, &rows, err))
		return -1;
	*char_id = rows.n ? pg_int(&rows, 0, 0) : 0;
	return 0;
}

static int insert(struct call *call, int64_t account_id, int64_t *char_id, struct error *err)
{
	static const struct pg_statement once = { "auth_create_character_once",
		INSERT_CHARACTER ", request AS (INSERT INTO auth_character_requests (account_id, message_id, char_id)"
				 " SELECT $1, $4, id FROM character) SELECT id FROM character" };
	static const struct pg_statement plain = { "auth_create_character",
		INSERT_CHARACTER " SELECT id FROM character" };
	const struct request *in = call_args(call);
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, account_id);
	pg_add_text(&params, in->name);
	pg_add_text(&params, genders[in->gender]);
	if (call->idempotency_key)
		pg_add_text(&params, call->message_id);
	if (pg_query(call->pg, call->idempotency_key ? &once : &plain, &params, &rows, err))
		return -1;
	*char_id = pg_int(&rows, 0, 0);
	return 0;
}

/* A repeat finds the character by the sender's message id; two at once meet in that id's unique key, and the second looks again. */
static int make(struct call *call, int64_t account_id, int64_t *char_id, struct error *err)
{
	if (find_made(call, account_id, char_id, err))
		return -1;
	if (*char_id || insert(call, account_id, char_id, err) == 0)
		return 0;
	if (err->code != CODE_CONFLICT || !call->idempotency_key)
		return -1;
	return find_made(call, account_id, char_id, err);
}

enum outcome auth_create_character(struct call *call)
{
	const struct request *in = call_args(call);
	struct token_claims claims;
	struct result result;
	struct error err;

	if (login_session_authorize(call, in->access_token, &claims, &err) ||
		make(call, claims.account_id, &result.char_id, &err))
		return retry(call, &err);
	crash_point("character_made");
	result.state_restored = state_restore(call, result.char_id);
	crash_point("character_restored");
	return reply_ok(call, &result);
}
