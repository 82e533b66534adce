#include "guard_timer.h"

#include "gateway_settings.h"
#include "log.h"
#include "token_guard.h"

int guard_timer_start(struct call *call, struct error *err)
{
	return token_guard_look(call->pg, gateway_settings.access_ttl_ms, err);
}

int64_t guard_timer_run(struct call *call)
{
	struct error err;

	if (token_guard_look(call->pg, gateway_settings.access_ttl_ms, &err)) {
		log_line(LOG_WARN, "guard_blind", "revoked tokens cannot be looked up: %s", err.text);
		call->down = err.down;
	}
	return TOKEN_GUARD_EVERY_MS;
}
