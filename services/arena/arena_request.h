/* A request for a fight, as players and other programs see it. */
#ifndef GARRISON_ARENA_REQUEST_H
#define GARRISON_ARENA_REQUEST_H

#include "field.h"

struct arena_request {
	const char *mode;
	int64_t gear_score;
	struct timestamp created_at;
	struct timestamp expires_at;
};
extern const struct schema arena_request_schema;

#endif
