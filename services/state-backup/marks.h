/*
 * The marks of characters to back up, in Redis. Writers add them to `dirty_accounts`. A worker takes a batch over into a set of its
 * own, in one script, and takes each mark off there once the character is saved; so a mark is always in one of the sets:
 *
 *	dirty_accounts                        set: marks nobody has taken
 *	dirty_accounts:processing:<worker>    set: what that worker has taken and not yet saved
 *	dirty_accounts:lease:<worker>         string with a lifetime: that worker is alive
 *	dirty_accounts:workers                set: workers that may have such a set
 *	dirty_accounts:aside                  zset by the time of the next try (Unix ms): marks of caches that could not be read
 *	dirty_accounts:clean                  string: when there was last no mark that waited (Unix ms, Redis's clock)
 *
 * Whoever finds a worker without a lease adopts its set. Two workers may so save one character at once; the row's lock sees to that.
 */
#ifndef MARKS_H
#define MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kv.h"
#include "scratch.h"
#include "uuid.h"

/* A worker that has not been heard of for so long is dead; longer than any of its transactions can sleep. */
#define MARKS_LEASE_MS 6000

/* One worker's side of it. Used by one thread. */
struct marks {
	struct kv *kv;
	char worker[UUID_TEXT_MAX];
	char processing[96], lease[96];
};

/* A worker with a new name. */
void marks_init(struct marks *marks, struct kv *kv);

struct mark {
	const char *member; /* as it is in the set */
	size_t len;
	int64_t char_id; /* 0: the member is no character's id */
};

struct mark_batch {
	struct mark *marks;
	size_t n;
	bool emptied;	  /* nobody had any mark untaken after this */
	int64_t taken_ms; /* when, by Redis's clock */
};

/*
 * What this worker holds, and if fetch is set as many more that it has max of them; renews the lease. In scratch. 0/-1 as
 * kv_command.
 */
int marks_take(struct marks *marks, size_t max, bool fetch, struct scratch *scratch, struct mark_batch *batch,
	struct error *err);

/* These are saved, or need no saving: their marks go; one that was set aside since stays there. 0/-1 as kv_sync. */
int marks_done(struct marks *marks, const struct mark *const *done, size_t n, struct error *err);
/* These cannot be saved now: tried again after delay_ms. 0/-1 as kv_sync. */
int marks_set_aside(struct marks *marks, const struct mark *const *bad, size_t n, int64_t delay_ms, struct error *err);
/* Everything marked before taken_ms is saved, unless a worker holds some still. 0/-1 as kv_command. */
int marks_clean(struct marks *marks, int64_t taken_ms, struct error *err);

struct marks_state {
	int64_t waiting; /* marks not saved yet, those set aside not among them */
	int64_t set_aside;
	int64_t adopted;       /* from dead workers and those set aside, just now */
	int64_t oldest_age_ms; /* no mark waits for longer than this; 0 when none waits */
};

/* Adopts the sets of workers without a lease and the marks set aside whose next try is due, and counts. 0/-1 as kv_command. */
int marks_watch(struct marks *marks, struct marks_state *state, struct error *err);

#endif
