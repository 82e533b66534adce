/* One transaction that settles a batch of fights, or none of them. */
#ifndef SETTLEMENT_ATTEMPT_H
#define SETTLEMENT_ATTEMPT_H

#include "settlement.h"
#include "settlement_sql.h"

/*
 * 0: fights were decided (settled; a replay or in conflict; hopeless, and then the others were left alone), or one was prepared for
 * being claimed by the next attempt. -1: err of pg_sync(), nothing was changed, though replays and conflicts may have been
 * recognised. The fights must be open and have distinct sessions. pg's thread; returns with no transaction open.
 */
int settlement_attempt(struct pg *pg, struct fight *const *fights, size_t n, const struct templates *templates,
	struct scratch *scratch, struct error *err);

/* A fight as the history has it; strings in scratch, or the fight's own. Any thread. */
struct history_row history_row_of(const struct fight *fight, struct scratch *scratch);

/* Sets the fight's state, with a copy of error (may be NULL) in scratch. Any thread. */
void fight_decide(struct fight *fight, enum fight_state state, const struct error *error, struct scratch *scratch);

#endif
