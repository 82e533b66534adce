#include "state_restore.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "auth_settings.h"
#include "clock.h"
#include "log.h"

#define ROUTING_KEY "state-backup.restore_full_state"

/* While state-backup does not answer in time, only one thread at once waits to see whether it does again. */
static _Atomic int64_t waiting, silent_until_ms;

static bool may_wait(void)
{
	return atomic_fetch_add(&waiting, 1) == 0 || clock_ms() >= atomic_load(&silent_until_ms);
}

bool state_restore(struct call *call, int64_t char_id)
{
	CLEANUP(text_release) struct text body = { 0 };
	struct json_text result;
	struct error err;
	int status = -1;

	json_open(&body, '{');
	json_key_int(&body, "char_id", char_id);
	json_close(&body, '}');
	if (may_wait())
		status = call_service(call, ROUTING_KEY, &body, (int)auth_settings.restore_timeout_ms, &result, &err);
	else
		error_set(&err, CODE_TIMEOUT, "others wait already");
	atomic_fetch_sub(&waiting, 1);
	if (status == 0)
		return true;
	if (err.code == CODE_TIMEOUT)
		atomic_store(&silent_until_ms, clock_ms() + auth_settings.restore_timeout_ms);
	log_line(LOG_WARN, "not_restored", "character %" PRId64 ": %s", char_id, err.text);
	return false;
}
