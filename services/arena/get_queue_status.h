/* get_queue_status: does a character wait, and since when. */
#ifndef GARRISON_ARENA_GET_QUEUE_STATUS_H
#define GARRISON_ARENA_GET_QUEUE_STATUS_H

#include "service.h"

extern const struct schema arena_get_queue_status_request, arena_get_queue_status_result;
handle_fn arena_get_queue_status;

#endif
