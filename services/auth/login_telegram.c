#include "login_telegram.h"

#include "account.h"
#include "auth_settings.h"
#include "clock.h"
#include "logged_in.h"
#include "telegram.h"

struct request {
	const char *init_data;
	struct opt_int char_id;
};
static const struct field request_fields[] = {
	FIELD(struct request, init_data, .required = true, .secret = true, .max = 16384,
		.help = "Telegram.WebApp.initData, as it is"),
	FIELD(struct request, char_id, .nullable = true, .min = 1, .max = INT_LIMIT,
		.help = "the character to play; the sole one where there is only one"),
};
const struct schema auth_login_telegram_request = SCHEMA(
	struct request, request_fields, .name = "login_telegram request");

enum outcome auth_login_telegram(struct call *call)
{
	const struct request *in = call_args(call);
	int64_t telegram_id, account_id;
	struct error err;

	if (!auth_settings.telegram_bot_token)
		return refuse(call, CODE_FORBIDDEN, "login by Telegram is off: TELEGRAM_BOT_TOKEN is not set");
	if (telegram_user(in->init_data, auth_settings.telegram_bot_token, clock_real_us() / 1000000,
		    auth_settings.telegram_auth_max_age_ms / 1000, &call->scratch, &telegram_id, &err) ||
		account_by_telegram(call, telegram_id, true, &account_id, &err))
		return retry(call, &err);
	return log_in(call, account_id, NULL, &in->char_id);
}
