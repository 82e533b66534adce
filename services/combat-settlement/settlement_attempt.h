/* One transaction that settles a batch of fights, or none of them. */
#ifndef SETTLEMENT_ATTEMPT_H
#define SETTLEMENT_ATTEMPT_H

#include "settlement.h"

/*
 * 0: fights were decided (settled; a replay or in conflict; hopeless, and then the others were left alone), or one was prepared for
 * being claimed by the next attempt. -1: err of pg_sync(), nothing was changed, though replays and conflicts may have been
 * recognised. The fights must be open and have distinct sessions. pg's thread; returns with no transaction open.
 */
int settlement_attempt(struct pg *pg, struct fight *const *fights, size_t n, const struct templates *templates,
	struct scratch *scratch, struct error *err);

#endif
