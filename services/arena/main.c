#include "arena_settings.h"
#include "check_match.h"
#include "get_gear_score.h"
#include "get_queue_status.h"
#include "get_request_meta.h"
#include "join_queue.h"
#include "leave_queue.h"
#include "service.h"
#include "sweep.h"

static const struct command commands[] = {
	COMMAND(arena_join_queue, "join_queue", .batch_max = 128, .help = "Put a character in the queue of a mode"),
	COMMAND(arena_leave_queue, "leave_queue", .help = "Take a character out of the queue of a mode"),
	COMMAND(arena_leave_queue, "cancel_queue", .help = "The same as leave_queue"),
	COMMAND(arena_get_queue_status, "get_queue_status", .help = "Does a character wait, and since when"),
	COMMAND(arena_check_match, "check_match",
		.help = "Has a character been matched; if it waits, look for an opponent at once"),
	COMMAND(arena_get_gear_score, "get_gear_score", .help = "What a character's equipment is worth now"),
	COMMAND(arena_get_request_meta, "get_request_meta", .help = "A character's active request"),
};

static const struct timer timers[] = {
	{ .name = "sweep", .help = "Ends expired requests, matches among the waiting", .run = arena_sweep },
	{ .name = "announce",
		.help = "Publishes battles and expired requests",
		.run = arena_announce,
		.timeout_ms = 20000 },
};

static const struct service arena = {
	.name = "arena",
	.summary = "Matches characters into arena fights",
	.needs = NEEDS_REDIS | NEEDS_POSTGRES,
	.threads = 2, /* Redis does one thing at a time: more would only wait, and hold memory */
	.pg_settings = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off",
	.settings = &arena_settings_schema,
	.settings_out = &arena_settings,
	.prepare = arena_settings_check,
	.commands = commands,
	.n_commands = ARRAY_LEN(commands),
	.timers = timers,
	.n_timers = ARRAY_LEN(timers),
	.events = arena_events,
	.n_events = ARRAY_LEN(arena_events),
	.metrics = arena_metrics,
	.n_metrics = ARRAY_LEN(arena_metrics),
};

int main(int argc, char **argv)
{
	return service_main(&arena, argc, argv);
}
