/* leave_queue, also called cancel_queue: take a character out of the queue of a mode. */
#ifndef GARRISON_ARENA_LEAVE_QUEUE_H
#define GARRISON_ARENA_LEAVE_QUEUE_H

#include "service.h"

extern const struct schema arena_leave_queue_request, arena_leave_queue_result;
handle_fn arena_leave_queue;

#endif
