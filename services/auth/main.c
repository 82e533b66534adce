#include "auth_settings.h"
#include "change_password.h"
#include "create_character.h"
#include "keyring.h"
#include "logged_in.h"
#include "login.h"
#include "login_telegram.h"
#include "logout.h"
#include "password.h"
#include "refresh.h"
#include "register.h"
#include "resolve_telegram.h"
#include "service.h"
#include "sweep.h"
#include "validate_token.h"

static const struct command commands[] = {
	COMMAND(auth_register, "register", .lanes = LANE_RPC, .help = "Make an account"),
	COMMAND(auth_create_character, "create_character", .lanes = LANE_RPC, .help = "Make a character of an account"),
	COMMAND(auth_login, "login", .lanes = LANE_RPC, .help = "Log in by password"),
	COMMAND(auth_login_telegram, "login_telegram", .lanes = LANE_RPC, .help = "Log in from a Telegram Mini App"),
	COMMAND(auth_resolve_telegram, "resolve_telegram", .lanes = LANE_RPC,
		.help = "Find the account of a Telegram user (for services)"),
	COMMAND(auth_refresh, "refresh", .lanes = LANE_RPC, .help = "Spend a refresh token for the next pair"),
	COMMAND(auth_logout, "logout", .lanes = LANE_RPC, .help = "Revoke a login, or all of an account"),
	COMMAND(auth_change_password, "change_password", .lanes = LANE_RPC,
		.help = "Set another password, and revoke the account's other logins"),
	COMMAND(auth_validate_token, "validate_token", .lanes = LANE_RPC, .batch_max = 256, .running_max = 1,
		.help = "Is an access token honoured now"),
};

static const struct timer timers[] = {
	{ .name = "keys", .help = "Looks the signing keys up again", .run = keyring_run },
	{ .name = "sweep", .help = "Removes what has expired", .run = auth_sweep },
};

static const struct service auth = {
	.name = "auth",
	.summary = "Lets players in: accounts, characters, access and refresh tokens",
	.needs = NEEDS_REDIS | NEEDS_POSTGRES,
	.threads = 12, /* those who wait for a password to be hashed hold one each */
	.pg_settings = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off",
	.settings = &auth_settings_schema,
	.settings_out = &auth_settings,
	.prepare = auth_prepare,
	.start = auth_start,
	.commands = commands,
	.n_commands = ARRAY_LEN(commands),
	.timers = timers,
	.n_timers = ARRAY_LEN(timers),
	.events = auth_events,
	.n_events = ARRAY_LEN(auth_events),
};

int main(int argc, char **argv)
{
	return service_main(&auth, argc, argv);
}
