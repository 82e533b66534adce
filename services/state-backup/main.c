#include "service.h"

#include "backup_full_state.h"
#include "counts.h"
#include "drain.h"
#include "restore_full_state.h"
#include "restore_page.h"
#include "restored_event.h"
#include "settings.h"

static const struct command commands[] = {
	COMMAND(restore_full_state, "restore_full_state", .batch_max = 250,
		.help = "Rebuild a character's cache, and the session he was in, unless it is live"),
	COMMAND(backup_full_state, "backup_full_state", .batch_max = 250,
		.help = "Save a character's cache, and the sessions he is in, to the database"),
	COMMAND(restore_page, "restore_page", .help = "Rebuild the caches of many characters that are not live"),
};

static const struct timer timers[] = {
	{ .name = "drain",
		.help = "Back up the characters marked in dirty_accounts, every BACKUP_INTERVAL",
		.run = drain_run,
		.threads = DRAIN_THREADS,
		.timeout_ms = DRAIN_TIMEOUT_MS },
};

static const struct service state_backup = {
	.name = "state-backup",
	.summary = "Keep characters' live state safe: from Redis to PostgreSQL and back",
	.needs = NEEDS_REDIS | NEEDS_POSTGRES,
	.settings = &state_backup_settings_schema,
	.settings_out = &state_backup_settings,
	.threads = 2,
	/* A worker that sleeps while it holds locks loses them before anybody takes it for dead. */
	.pg_settings = "-c idle_in_transaction_session_timeout=5000 -c lock_timeout=2000 "
		       "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off",
	.commands = commands,
	.n_commands = ARRAY_LEN(commands),
	.timers = timers,
	.n_timers = ARRAY_LEN(timers),
	.events = state_backup_events,
	.n_events = ARRAY_LEN(state_backup_events),
	.metrics = counts,
	.n_metrics = N_COUNTS,
};

int main(int argc, char **argv)
{
	return service_main(&state_backup, argc, argv);
}
