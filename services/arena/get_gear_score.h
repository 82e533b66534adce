/* get_gear_score: what a character's equipment is worth now. */
#ifndef GARRISON_ARENA_GET_GEAR_SCORE_H
#define GARRISON_ARENA_GET_GEAR_SCORE_H

#include "service.h"

extern const struct schema arena_get_gear_score_request, arena_get_gear_score_result;
handle_fn arena_get_gear_score;

#endif
