/* Where the broker differs from the table. */
#ifndef GARRISON_DIFFERENCES_H
#define GARRISON_DIFFERENCES_H

#include <stdbool.h>

#include "management.h"
#include "topology.h"

/* One thing that is not as it should be. */
struct difference {
	const char *kind;    /* "exchange", "queue" or "binding" */
	const char *name;    /* of the exchange or queue; a binding goes by its queue */
	const char *problem; /* "is missing", "x-message-ttl is 5000, not 1000" */
	const char *advice;  /* what to do */
	bool may_pass;	     /* no difference in itself: a sign of one, if it stays */
};

struct differences {
	struct difference *items; /* in the scratch */
	size_t n, room;
	size_t n_lasting; /* without those that may pass */
	struct scratch *scratch;
};

/*
 * Compares everything the table names with the broker, and finds what is there too much: other bindings of the fleet's queues,
 * rungs of earlier delays, policies that change a promise, expired messages that have not been dead-lettered yet. Strings and items
 * live in scratch. 0, or -1: as management_get().
 */
int topology_check(const struct topology *topology, struct management *management, struct scratch *scratch,
	struct differences *differences, struct error *err);

#endif
