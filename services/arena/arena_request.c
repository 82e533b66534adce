#include "arena_request.h"

static const struct field fields[] = {
	FIELD(struct arena_request, mode, .required = true, .help = "the mode that was joined"),
	FIELD(struct arena_request, gear_score, .required = true, .help = "the gear score the character is matched by"),
	FIELD(struct arena_request, created_at, .required = true, .help = "since when it waits"),
	FIELD(struct arena_request, expires_at, .required = true, .help = "when it ends by itself"),
};
const struct schema arena_request_schema = SCHEMA(struct arena_request, fields, .name = "arena request");
