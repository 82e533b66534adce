/* The energy of characters whose vitals are live in Redis (ac:<id>): the cache owns it there, so what ticks change is changed there too. */
#ifndef TICK_VITALS_CACHE_H
#define TICK_VITALS_CACHE_H

#include "kv.h"

/* What the tick due at due_us does to a character's energy. */
struct energy_change {
	int64_t player_id;
	int64_t due_us;
	int64_t energy;
};

/*
 * Applies the changes to the caches that hold vitals, keeps energy within 0..max and marks those characters dirty. Where there is no
 * cache, or one without readable vitals, nothing happens.
 *
 * To be called inside the transaction that credits the ticks, while it holds the characters' rows: whoever builds a cache from the
 * database, or saves one to it, does so under the same row lock, and sees the change in both or in neither. Safe to repeat: the hash
 * remembers in its field tick_energy which due time came last and what it did, so that a tick which is credited again after a crash
 * between this call and the commit changes energy by the difference only. Fails as kv_sync does; then it may have happened or not.
 */
int vitals_cache_change_energy(struct kv *kv, const struct energy_change *changes, size_t n, struct error *err);

#endif
