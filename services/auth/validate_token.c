#include "validate_token.h"

#include <string.h>

#include "clock.h"
#include "keyring.h"

struct request {
	const char *access_token;
};
static const struct field request_fields[] = {
	FIELD(struct request, access_token, .required = true, .secret = true, .max = 16384,
		.help = "the token to check"),
};
const struct schema auth_validate_token_request = SCHEMA(
	struct request, request_fields, .name = "validate_token request");

struct result {
	bool valid;
	int reason;
	struct opt_int account_id;
	struct opt_int char_id;
	struct timestamp expires_at;
};
static const char *const reasons[] = { "malformed", "bad_signature", "expired", "revoked" };
static const struct field result_fields[] = {
	FIELD(struct result, valid, .required = true, .help = "honoured now"),
	FIELD(struct result, reason, .choices = reasons, .n_choices = ARRAY_LEN(reasons), .help = "why it is not"),
	FIELD(struct result, account_id, .help = "whose it is, when valid"),
	FIELD(struct result, char_id, .nullable = true,
		.help = "the character it acts for, when valid and one is chosen"),
	FIELD(struct result, expires_at, .help = "until when, when valid"),
};
const struct schema auth_validate_token_result = SCHEMA(struct result, result_fields, .name = "validate_token result");

static void answer_invalid(struct call *call, enum token_verdict verdict)
{
	struct result result = { .reason = -1 };

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (strcmp(reasons[i], token_verdict_name(verdict)) == 0)
			result.reason = (int)i;
	reply_ok(call, &result);
}

static void answer_valid(struct call *call, const struct token_claims *claims)
{
	const struct result result = {
		.valid = true,
		.reason = -1,
		.account_id = { true, claims->account_id },
		.char_id = { claims->char_id != 0, claims->char_id },
		.expires_at = { claims->exp_s * 1000000 },
	};

	reply_ok(call, &result);
}

/* In the order of the claims: is that login as the token says, and not revoked? */
static int look_up(
	struct batch *batch, const struct token_claims *claims, size_t n, struct pg_rows *rows, struct error *err)
{
	static const struct pg_statement statement = { "auth_honoured_many",
		"SELECT l.sid IS NOT NULL FROM unnest($1, $2, $3) WITH ORDINALITY c(sid, gen, account_id, place)"
		" LEFT JOIN auth_logins l ON l.sid = c.sid AND l.generation = c.gen AND l.account_id = c.account_id"
		" AND l.revoked_at IS NULL ORDER BY c.place" };
	struct uuid *sids = scratch_array(batch->scratch, n, sizeof(*sids));
	int64_t *gens = scratch_array(batch->scratch, n, sizeof(*gens));
	int64_t *accounts = scratch_array(batch->scratch, n, sizeof(*accounts));
	struct pg_params params = { 0 };

	for (size_t i = 0; i < n; i++) {
		sids[i] = claims[i].sid;
		gens[i] = claims[i].gen;
		accounts[i] = claims[i].account_id;
	}
	pg_add_uuid_array(&params, sids, n);
	pg_add_int8_array(&params, gens, n);
	pg_add_int8_array(&params, accounts, n);
	return pg_query(batch->pg, &statement, &params, rows, err);
}

static void answer_looked_up(struct batch *batch, struct call **calls, const struct token_claims *claims, size_t n)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct error err;
	int failed = look_up(batch, claims, n, &rows, &err);

	for (size_t i = 0; i < n; i++) {
		if (failed)
			retry(calls[i], &err);
		else if (pg_bool(&rows, (int)i, 0))
			answer_valid(calls[i], &claims[i]);
		else
			answer_invalid(calls[i], TOKEN_REVOKED);
	}
}

void auth_validate_token(struct batch *batch)
{
	struct call **calls = scratch_array(batch->scratch, batch->n, sizeof(struct call *));
	struct token_claims *claims = scratch_array(batch->scratch, batch->n, sizeof(*claims));
	int64_t now_s = clock_real_us() / 1000000;
	struct token_keys keys;
	size_t n = 0;

	keyring_keys(&keys);
	for (size_t i = 0; i < batch->n; i++) {
		const struct request *in = call_args(batch->calls[i]);
		enum token_verdict verdict = token_verify(
			&keys, in->access_token, strlen(in->access_token), now_s, &claims[n]);

		if (verdict == TOKEN_OK)
			calls[n++] = batch->calls[i];
		else
			answer_invalid(batch->calls[i], verdict);
	}
	if (n)
		answer_looked_up(batch, calls, claims, n);
}
