/* get_combat_result: what became of a fight, for the player whose old button was pressed. */
#ifndef GET_COMBAT_RESULT_H
#define GET_COMBAT_RESULT_H

#include "common/service.h"

struct get_combat_result {
	struct uuid session_id;
	int64_t char_id;
	int lang;
};

extern const struct schema get_combat_result_request;
extern const struct schema get_combat_result_result;
handle_fn get_combat_result;

#endif
