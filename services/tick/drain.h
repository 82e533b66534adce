/* The timer that takes due ticks from the queues, in batches, and has them credited. Any number of threads and workers may run it. */
#ifndef TICK_DRAIN_H
#define TICK_DRAIN_H

#include "call.h"

#define DRAIN_TIMER "drain"
int64_t drain_queues(struct call *call);

#endif
