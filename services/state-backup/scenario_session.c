#include "scenario_session.h"

const struct session_kind scenario_session = {
	.name = "scenario",
	.field = "scenario_session_id",
	.key_prefixes = { "scenario:session:" },
	.n_key_prefixes = 1,
};
