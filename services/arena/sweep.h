/* Timers: what happens in the arena though nobody asks. */
#ifndef GARRISON_ARENA_SWEEP_H
#define GARRISON_ARENA_SWEEP_H

#include "service.h"

/* Ends requests whose time is over and matches among the waiting; one worker at a time. */
int64_t arena_sweep(struct call *call);
/* Tells the world of battles and expired requests, each once, whoever made them. */
int64_t arena_announce(struct call *call);

#define ARENA_EVENTS 3
extern const struct service_event arena_events[ARENA_EVENTS];

#define ARENA_METRICS 4
extern struct metric arena_metrics[ARENA_METRICS];

#endif
