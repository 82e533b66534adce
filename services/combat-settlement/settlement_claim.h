/* Which of a batch of fights are new: those go into the history, as the first step of the transaction that settles them. */
#ifndef SETTLEMENT_CLAIM_H
#define SETTLEMENT_CLAIM_H

#include "settlement.h"
#include "settlement_sql.h"

struct claimed {
	struct fight **fights; /* in fight_order() */
	size_t n;
};

/*
 * Inside an open transaction: claims the fights that nobody has settled, and decides those that are replays or in conflict. One that
 * another program wrote as pending stays open and unclaimed: once this transaction is committed it can be claimed by the next. 0,
 * or -1 and err of pg_sync(). The fights must have distinct sessions. Results live in scratch. pg's thread.
 */
int settlement_claim(struct pg *pg, struct fight *const *fights, size_t n, struct claimed *claimed,
	struct scratch *scratch, struct error *err);

/* A fight as the history has it; strings in scratch, or the fight's own. Any thread. */
struct history_row history_row_of(const struct fight *fight, struct scratch *scratch);

/* Sets the fight's state, with a copy of error (may be NULL) in scratch. Any thread. */
void fight_decide(struct fight *fight, enum fight_state state, const struct error *error, struct scratch *scratch);

#endif
