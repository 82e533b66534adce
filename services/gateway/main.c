#include "gateway_metrics.h"
#include "gateway_settings.h"
#include "guard_timer.h"
#include "http_server.h"
#include "pages.h"
#include "route.h"
#include "service.h"

/* clang-format off */
const struct route routes[] = {
	{ "POST", "/system/tick/auto-session/start", "Start an auto session", WHO_PLAYER,
	  .command = "tick.start_auto_session", .body = true, .subject = "player_id", .status = 201, .status_if = "started" },
	{ "DELETE", "/system/tick/auto-session/delete", "End an auto session", WHO_PLAYER,
	  .command = "tick.delete_auto_session", .body = true, .query = {"player_id"}, .subject = "player_id" },
	{ "GET", "/system/tick/auto-session/status", "The auto session of a character", WHO_PLAYER,
	  .command = "tick.get_auto_session_status", .query = {"player_id"}, .subject = "player_id" },
	{ "POST", "/auth/register", "Make an account", .command = "auth.register", .body = true, .status = 201 },
	{ "POST", "/auth/login", "Log in with a password", .command = "auth.login", .body = true },
	{ "POST", "/auth/telegram", "Log in from a Telegram Mini App", .command = "auth.login_telegram", .body = true },
	{ "POST", "/auth/refresh", "A new pair of tokens for a refresh token", .command = "auth.refresh", .body = true },
	{ "POST", "/auth/logout", "Log out", WHO_BEARER, .command = "auth.logout", .body = true, .token = "access_token" },
	{ "POST", "/auth/password", "Change the password", WHO_BEARER,
	  .command = "auth.change_password", .body = true, .token = "access_token" },
	{ "POST", "/auth/characters", "Make a character", WHO_BEARER,
	  .command = "auth.create_character", .body = true, .token = "access_token", .status = 201 },
	{ "POST", "/arena/queue/join", "Queue for a match", WHO_PLAYER,
	  .command = "arena.join_queue", .body = true, .subject = "char_id" },
	{ "POST", "/arena/queue/cancel", "Leave the queue", WHO_PLAYER,
	  .command = "arena.cancel_queue", .body = true, .subject = "char_id" },
	{ "POST", "/arena/match/check", "Is there an opponent", WHO_PLAYER,
	  .command = "arena.check_match", .body = true, .subject = "char_id" },
	{ "GET", "/arena/queue/status", "Does a character wait in a queue", WHO_PLAYER,
	  .command = "arena.get_queue_status", .query = {"char_id"}, .subject = "char_id" },
	{ "GET", "/combat/result", "What became of a fight", WHO_PLAYER,
	  .command = "combat-settlement.get_combat_result", .query = {"session_id", "char_id", "lang"}, .subject = "char_id" },
	{ "GET", "/combat/last", "A character's newest fight", WHO_PLAYER,
	  .command = "combat-settlement.get_last_combat", .query = {"char_id", "lang"}, .subject = "char_id" },
	{ "POST", "/commands/{service}/{command}", "Send any command", WHO_SERVICE, .body = true, .status = 202 },
	{ "GET", "/healthz", "Does the gateway live", .page = &health_page },
	{ "GET", "/readyz", "Can the gateway serve", .page = &readiness_page },
	{ "GET", "/openapi.json", "This description", .page = &openapi_page },
	{ "GET", "/docs", "This description, for reading", .page = &docs_page },
	{ "GET", "/.well-known/jwks.json", "The public keys of access tokens", .page = &jwks_page },
};
const size_t n_routes = ARRAY_LEN(routes);

static const struct timer timers[] = {
	{ .name = "guard", .help = "Learns which tokens were revoked", .run = guard_timer_run, .timeout_ms = 800 },
};
static const struct service gateway = {
	.name = "gateway", .summary = "HTTP in front of all services", .needs = NEEDS_POSTGRES,
	.settings = &gateway_settings_schema, .settings_out = &gateway_settings, .prepare = gateway_settings_check,
	.timers = timers, .n_timers = ARRAY_LEN(timers), .front = &http_server, .start = guard_timer_start,
	.metrics = gateway_metrics, .n_metrics = GATEWAY_METRICS,
};
/* clang-format on */
int main(int argc, char **argv)
{
	return service_main(&gateway, argc, argv);
}
