#include "service.h"
#include "services/tick/delete_auto_session.h"
#include "services/tick/drain.h"
#include "services/tick/get_auto_session_status.h"
#include "services/tick/scheduler.h"
#include "services/tick/start_auto_session.h"
#include "services/tick/tick_event.h"
#include "services/tick/tick_metrics.h"
#include "services/tick/tick_settings.h"

/* Each by one thread: what comes during a commit makes the next batch, and costs the database less than many small ones. */
static const struct command commands[] = {
	COMMAND(start_auto_session, "start_auto_session", .batch_max = 64, .running_max = 1,
		.help = "Begin an auto-session, unless one is active"),
	COMMAND(delete_auto_session, "delete_auto_session", .batch_max = 64, .running_max = 1,
		.help = "End an auto-session"),
	COMMAND(get_auto_session_status, "get_auto_session_status", .batch_max = 64, .running_max = 1,
		.help = "Look at an auto-session"),
};

static const struct timer timers[] = {
	{ .name = "schedule", .run = schedule_due_ticks, .help = "Queue the sessions that are due" },
	{ .name = DRAIN_TIMER, .run = drain_queues, .threads = 2, .help = "Credit queued ticks, in batches" },
	{ .name = TICK_EVENT_TIMER, .run = tick_event_publish, .help = "Publish tick.completed" },
};

static const struct service tick = {
	.name = "tick",
	.summary = "Keep auto-sessions and credit their ticks",
	.needs = NEEDS_REDIS | NEEDS_POSTGRES,
	.settings = &tick_settings_schema,
	.settings_out = &tick_settings,
	/* Sets come as arrays of unknown size: always by the indexes, and by one plan for all sizes. */
	.pg_settings = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off"
		       " -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c lock_timeout=2s",
	.commands = commands,
	.n_commands = ARRAY_LEN(commands),
	.timers = timers,
	.n_timers = ARRAY_LEN(timers),
	.events = tick_events,
	.n_events = ARRAY_LEN(tick_events),
	.metrics = tick_metrics,
	.n_metrics = ARRAY_LEN(tick_metrics),
};

int main(int argc, char **argv)
{
	return service_main(&tick, argc, argv);
}
