/*
 * What follows the commit in Redis: the tombstone, the characters' live contexts, the end of the live session. All of it may be
 * repeated: a repeat adds what is missing and leaves the rest alone.
 */
#ifndef SETTLED_CACHE_H
#define SETTLED_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/kv.h"
#include "common/pg.h"
#include "common/scratch.h"
#include "settlement.h"

struct settled_fight {
	struct fight *fight;   /* settled or replayed */
	const char *tombstone; /* JSON */
	size_t tombstone_len;
	/* Filled by settled_cache_write(): */
	uint64_t state_changed; /* bit i: participant i's state changed, or was not backed up since: to be backed up */
	const struct error *error; /* what went wrong for this fight alone */
};

/*
 * Writes for all the fights, in their order, in one round trip; more where a context names a last fight that only the
 * database can date. 0; or -1 and err, with nothing known of what was written. Results live in scratch. The stores' thread.
 */
int settled_cache_write(struct kv *kv, struct pg *pg, struct settled_fight *fights, size_t n, struct scratch *scratch,
	struct error *err);

/* These fights are in the database now, though not settled: forgets the answer that they are unknown. The stores' thread. */
void settled_cache_forget_unknown(struct kv *kv, const struct uuid *sessions, size_t n);

#endif
