/* check_match: has a character been matched; if it waits, an opponent is looked for at once. */
#ifndef GARRISON_ARENA_CHECK_MATCH_H
#define GARRISON_ARENA_CHECK_MATCH_H

#include "service.h"

extern const struct schema arena_check_match_request, arena_check_match_result;
handle_fn arena_check_match;

#endif
