/* Which fight is the newest to set what of a character, as the database has it: what decides whose vitals count. */
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
	bool *known;			     /* the character exists */
	struct uuid (*set_by)[ASPECT_COUNT]; /* nil: by no fight yet */
	const char **vitals;		     /* JSON */
};

/* From rows of sql_fences() or sql_change_characters(), all of them among ids, which must outlive the result. Lives in scratch. Any thread. */
struct fences fences_read(const int64_t *ids, size_t n, const struct pg_rows *rows, struct scratch *scratch);
/* Whether the character exists; id must be among ids. Any thread. */
bool fences_know(const struct fences *fences, int64_t id);
/* Fills .newest and .vitals of the fight; all its participants must be among ids. They live in scratch, as fences do. Any thread. */
void fences_apply(const struct fences *fences, struct fight *fight, struct scratch *scratch);

/* Asks the database anew, and fills .newest and .vitals of the fights. 0, or -1 and err of pg_sync(). pg's thread. */
int fences_find(struct pg *pg, struct fight *const *fights, size_t n, struct scratch *scratch, struct error *err);

#endif
