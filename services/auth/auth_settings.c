#include "auth_settings.h"

#include <ctype.h>
#include <string.h>

#include "keyring.h"
#include "password.h"

#define DAY_MS ((int64_t)86400000)

static const struct field fields[] = {
	FIELD(struct auth_settings, access_ttl_ms, .as = "ACCESS_TTL", .preset = "15m", .unit = UNIT_MS, .min = 1000,
		.max = DAY_MS, .help = "how long an access token is valid"),
	FIELD(struct auth_settings, refresh_ttl_ms, .as = "REFRESH_TTL", .preset = "30d", .unit = UNIT_MS, .min = 1000,
		.max = 3650 * DAY_MS, .help = "how long a refresh token is valid"),
	FIELD(struct auth_settings, refresh_grace_ms, .as = "REFRESH_GRACE", .preset = "10s", .unit = UNIT_MS, .min = 0,
		.max = DAY_MS,
		.help = "how long a spent refresh token still gives another pair; later it revokes the whole login"),
	FIELD(struct auth_settings, telegram_bot_token, .as = "TELEGRAM_BOT_TOKEN", .secret = true, .min = 1,
		.max = 256, .help = "the bot whose Mini App players log in from; unset: login_telegram is off"),
	FIELD(struct auth_settings, telegram_auth_max_age_ms, .as = "TELEGRAM_AUTH_MAX_AGE", .preset = "1h",
		.unit = UNIT_MS, .min = 1000, .max = 365 * DAY_MS, .help = "how old a Mini App's init_data may be"),
	FIELD(struct auth_settings, jwt_private_key, .as = "JWT_PRIVATE_KEY", .secret = true, .min = 1, .max = 4096,
		.help = "the Ed25519 key that signs: PEM (PKCS #8), or the 32 bytes of its seed in base64; unset: made "
			"at "
			"first start, kept in PostgreSQL, shared by all replicas"),
	FIELD(struct auth_settings, login_failures_max, .as = "LOGIN_FAILURES_MAX", .preset = "5", .min = 1,
		.max = 1000000, .help = "wrong passwords for one login from one address before both must wait"),
	FIELD(struct auth_settings, address_failures_max, .as = "ADDRESS_FAILURES_MAX", .preset = "50", .min = 1,
		.max = 1000000, .help = "wrong passwords from one address before it must wait"),
	FIELD(struct auth_settings, failures_window_ms, .as = "LOGIN_FAILURES_WINDOW", .preset = "1m", .unit = UNIT_MS,
		.min = 100, .max = DAY_MS, .help = "within what time failures count, and how long the wait is"),
	FIELD(struct auth_settings, hash_threads, .as = "PASSWORD_HASH_THREADS", .preset = "2", .min = 1, .max = 64,
		.help = "passwords hashed at once; each takes 64 MiB while it is"),
	FIELD(struct auth_settings, restore_timeout_ms, .as = "STATE_RESTORE_TIMEOUT", .preset = "2s", .unit = UNIT_MS,
		.min = 10, .max = 60000, .help = "how long a login waits for state-backup to restore the character"),
};
const struct schema auth_settings_schema = SCHEMA(struct auth_settings, fields, .name = "auth settings");
struct auth_settings auth_settings;

/* With an empty key every forged init_data would be genuine: whoever gives one by mistake must hear of it. */
static int check_bot_token(struct error *err)
{
	const char *token = auth_settings.telegram_bot_token;
	const char *given = getenv("TELEGRAM_BOT_TOKEN"), *file = getenv("TELEGRAM_BOT_TOKEN_FILE");

	if (!token && (given || (file && *file)))
		return error_set(err, CODE_INVALID_PAYLOAD,
			"TELEGRAM_BOT_TOKEN is empty; leave it unset to switch "
			"login by Telegram off");
	for (const char *c = token; c && *c; c++)
		if (!isgraph((unsigned char)*c))
			return error_set(err, CODE_INVALID_PAYLOAD,
				"TELEGRAM_BOT_TOKEN must have no white space and no control characters");
	return 0;
}

int auth_prepare(struct error *err)
{
	return check_bot_token(err) || keyring_prepare(auth_settings.jwt_private_key, err) ? -1 : 0;
}

int auth_start(struct call *call, struct error *err)
{
	password_start();
	return keyring_load(call->pg, err);
}
