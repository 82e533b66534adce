/*
 * The rows of characters and character_stats, any number at a time. Whoever saves or restores a character holds the lock on his
 * row from before the cache is read or written until the commit: of two snapshots the later commit is the newer one.
 */
#ifndef CHARACTERS_H
#define CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg.h"
#include "snapshot.h"

/*
 * Opens a transaction and locks the rows of ids but for those that others hold: nobody is waited for. found[i] says whether ids[i]
 * is locked now; ids are sorted and distinct. *columns (may be NULL) is for characters_row(): what the locked rows hold, and perhaps
 * others. 0/-1 as pg_sync.
 */
int characters_lock(
	struct pg *pg, const int64_t *ids, size_t n, bool *found, struct pg_rows *columns, struct error *err);

/* exists[i]: is there a character ids[i]? Outside of any lock. 0/-1 as pg_sync. */
int characters_exist(struct pg *pg, const int64_t *ids, size_t n, bool *exists, struct error *err);

/* For how long commands come back to rows that others hold, and how often. */
#define LOCKED_FOR_MS 1000
#define LOCKED_POLL_MS 10

/* A row of what characters_lock() read; strings live as long as the rows. */
struct character {
	int64_t id;
	const char *game_stage, *location_id, *prev_location_id, *name, *gender;
	int64_t created_at_us;
	struct bytes vitals, stats;
	bool has_last_combat;
	struct uuid last_combat;
};
struct character characters_row(const struct pg_rows *columns, int row);

/* Queue the saving of n snapshots, sorted and distinct: one statement each for characters and for stats. */
void characters_queue_save(struct pg *pg, const struct snapshot *const *snapshots, size_t n);
#define CHARACTERS_SAVE_STATEMENTS 2

/* Queue one statement: these characters are idle now. */
void characters_queue_idle(struct pg *pg, const int64_t *ids, size_t n);

#endif
