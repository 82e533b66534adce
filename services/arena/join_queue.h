/* join_queue: put a character in the queue of a mode. */
#ifndef GARRISON_ARENA_JOIN_QUEUE_H
#define GARRISON_ARENA_JOIN_QUEUE_H

#include "service.h"

extern const struct schema arena_join_queue_request, arena_join_queue_result;
handle_batch_fn arena_join_queue;

#endif
