#include "assemble_belt.h"
#include "combat_settings.h"
#include "get_combat_result.h"
#include "get_last_combat.h"
#include "settle_combat.h"

static const struct command commands[] = {
	COMMAND(settle_combat, "settle_combat", .lanes = LANE_DURABLE, .batch_max = 192, .body_max = 8 << 20,
		.digest = true,
		.help = "Settle a finished fight, once for ever: gold, xp, items and vitals from its result document"),
	COMMAND(get_combat_result, "get_combat_result", .timeout_ms = 5000,
		.help = "Say whether a fight is over and what it brought, with the text for the player"),
	COMMAND(get_last_combat, "get_last_combat", .timeout_ms = 5000,
		.help = "The same of a character's newest fight"),
	COMMAND(assemble_belt, "assemble_belt", .timeout_ms = 5000, .help = "List what a character has on its belt"),
};

static const struct service combat_settlement = {
	.name = "combat-settlement",
	.summary = "Turn finished fights into gold, xp and items, exactly once",
	.needs = NEEDS_REDIS | NEEDS_POSTGRES,
	.settings = &combat_settings_schema,
	.settings_out = &combat_settings,
	.threads = 2,
	/*
	 * Rows are locked in the order they are named in: only nested loops over the arrays keep that order. Where a lock is not
	 * given in time, settlement.c looks for the fight that waits for it.
	 */
	.pg_settings = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off "
		       "-c enable_mergejoin=off -c jit=off -c lock_timeout=1500ms",
	.commands = commands,
	.n_commands = ARRAY_LEN(commands),
	.events = combat_events,
	.n_events = ARRAY_LEN(combat_events),
};

int main(int argc, char **argv)
{
	return service_main(&combat_settlement, argc, argv);
}
