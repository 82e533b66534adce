/* Which fight is a character's newest, as the database has it: what decides whose vitals count. */
#ifndef FIGHT_FENCES_H
#define FIGHT_FENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pg.h"
#include "settlement.h"

struct fences {
	const int64_t *ids; /* sorted */
	size_t n;
	bool *known;	     /* the character exists */
	struct uuid *newest; /* nil: it was in no fight yet */
};

/* From rows of (id, last_combat_session_id), all of them among ids, which must outlive the result. Lives in scratch. Any thread. */
struct fences fences_read(const int64_t *ids, size_t n, const struct pg_rows *rows, struct scratch *scratch);
/* Whether the character exists; id must be among ids. Any thread. */
bool fences_know(const struct fences *fences, int64_t id);
/* Bit i: the fight is the newest of its participant i. All participants must be among ids. Any thread. */
uint64_t fences_newest(const struct fences *fences, const struct result_document *document);

/* Asks the database anew, and fills .newest of the fights. 0, or -1 and err of pg_sync(). pg's thread. */
int fences_find(struct pg *pg, struct fight *const *fights, size_t n, struct scratch *scratch, struct error *err);

#endif
