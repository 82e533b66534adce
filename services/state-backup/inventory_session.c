#include "inventory_session.h"

const struct session_kind inventory_session = {
	.name = "inventory",
	.field = "inventory_session_id",
	.key_prefixes = { "inventory:session:" },
	.n_key_prefixes = 1,
};
