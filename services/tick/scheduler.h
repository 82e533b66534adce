/*
 * The timer that finds due sessions and queues them. There is no leader: every worker's scheduler reads the cursor, selects what is due
 * past it, and queues that only if nobody else has moved the cursor meanwhile. Whatever is lost between queue and database (a worker
 * that dies, an emptied Redis) is still due in the database: a sweep finds it, or, without a cursor, all is looked through anew.
 */
#ifndef TICK_SCHEDULER_H
#define TICK_SCHEDULER_H

#include "call.h"

int64_t schedule_due_ticks(struct call *call);

#endif
