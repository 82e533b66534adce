#include "resolve_telegram.h"

#include "account.h"

struct request {
	int64_t telegram_id;
	bool create;
};
static const struct field request_fields[] = {
	FIELD(struct request, telegram_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "Telegram's user id"),
	FIELD(struct request, create, .help = "make the account if there is none"),
};
const struct schema auth_resolve_telegram_request = SCHEMA(
	struct request, request_fields, .name = "resolve_telegram request");

struct result {
	int64_t account_id;
	struct list characters;
};
static const struct field result_fields[] = {
	FIELD(struct result, account_id, .required = true, .help = "the account"),
	FIELD(struct result, characters, .required = true, .of = &character_schema, .help = "its characters"),
};
const struct schema auth_resolve_telegram_result = SCHEMA(
	struct result, result_fields, .name = "resolve_telegram result");

/* Safe to run again: an account is made once for a Telegram user. */
enum outcome auth_resolve_telegram(struct call *call)
{
	const struct request *in = call_args(call);
	struct result result;
	struct error err;

	if (account_by_telegram(call, in->telegram_id, in->create, &result.account_id, &err))
		return retry(call, &err);
	if (!result.account_id)
		return refuse(call, CODE_NOT_FOUND, "no account is of this Telegram user");
	if (account_characters(call, result.account_id, &result.characters, &err))
		return retry(call, &err);
	return reply_ok(call, &result);
}
