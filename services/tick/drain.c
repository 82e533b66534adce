#include "services/tick/drain.h"

#include <stdatomic.h>

#include "crash.h"
#include "log.h"
#include "services/tick/category.h"
#include "services/tick/credit.h"
#include "services/tick/tick_metrics.h"
#include "services/tick/tick_settings.h"

#define PAUSE_EMPTY_MS 1000 /* the scheduler wakes this timer when anything is queued */
#define PAUSE_FAILED_MS 1000

/* Each run begins with another category, so that none waits for the others to be empty. */
static _Atomic unsigned turn;

/*
 * Credits the ticks; when that fails for a cause that lies in one of them, in halves, so that only the one is left. What is not credited
 * stays due in the database, where the sweep finds it. Returns whether anything was credited; err tells the last failure.
 */
static bool credit_by_halves(struct call *call, struct due *dues, size_t n, struct error *err)
{
	bool first, second;

	if (!credit_ticks(call, dues[0].category, dues, n, err))
		return true;
	if (code_is_transient(err->code) && err->code != CODE_INTERNAL)
		return false;
	if (n == 1) {
		struct error cause = *err;

		error_set(err, cause.code, "character %lld: %s", (long long)dues[0].player_id, cause.text);
		return false;
	}
	first = credit_by_halves(call, dues, n / 2, err);
	second = credit_by_halves(call, dues + n / 2, n - n / 2, err);
	return first || second;
}

int64_t drain_queues(struct call *call)
{
	CLEANUP(release_memory) struct due *dues = must_alloc((size_t)tick_settings.batch_size * sizeof(*dues));
	int first = (int)(atomic_fetch_add(&turn, 1) % CATEGORY_COUNT);
	size_t n, unreadable;
	struct error err = { .code = CODE_OK, .down = STORE_NONE };
	bool any;

	if (queue_take(call->kv, first, (size_t)tick_settings.batch_size, dues, &n, &unreadable, &err)) {
		call->down = err.down;
		log_line(LOG_WARN, "tick", "cannot take due ticks: %s", err.text);
		return PAUSE_FAILED_MS;
	}
	metric_add(&tick_metrics[METRIC_UNREADABLE], (int64_t)unreadable);
	if (n == 0)
		return unreadable ? 0 : PAUSE_EMPTY_MS;
	crash_point("tick_taken");
	any = credit_by_halves(call, dues, n, &err);
	call->down = err.down;
	if (err.code != CODE_OK)
		log_line(LOG_WARN, "tick", "%s of %zu due ticks of %s go back to the schedule: %s",
			any ? "some" : "all", n, categories[dues[0].category].name, err.text);
	return any ? 0 : PAUSE_FAILED_MS;
}
