/* get_request_meta: a character's active request. */
#ifndef GARRISON_ARENA_GET_REQUEST_META_H
#define GARRISON_ARENA_GET_REQUEST_META_H

#include "service.h"

extern const struct schema arena_get_request_meta_request, arena_get_request_meta_result;
handle_fn arena_get_request_meta;

#endif
