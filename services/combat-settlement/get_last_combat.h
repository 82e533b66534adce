/* get_last_combat: the character's newest fight. */
#ifndef GET_LAST_COMBAT_H
#define GET_LAST_COMBAT_H

#include "common/service.h"

struct get_last_combat {
	int64_t char_id;
	int lang;
};

extern const struct schema get_last_combat_request;
extern const struct schema get_last_combat_result;
handle_fn get_last_combat;

#endif
