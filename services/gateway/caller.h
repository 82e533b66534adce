/* Who calls, by the token of the request. */
#ifndef GATEWAY_CALLER_H
#define GATEWAY_CALLER_H

#include "route.h"
#include "token_guard.h"

enum caller_kind {
	CALLER_NOBODY, /* no token, or one that nobody needed to look at */
	CALLER_SERVICE,
	CALLER_PLAYER
};

struct caller {
	enum caller_kind kind;
	struct token_claims claims; /* of a player */
};

/*
 * May this bearer (NULL: none) call a route for such callers? 0 and *caller; or -1: unauthorized (no token, a bad one), forbidden (a
 * player where a service is wanted), unavailable (it cannot be known now whether the token was revoked). Any thread.
 */
int caller_check(enum who who, const char *bearer, struct caller *caller, struct error *err);

/* True when the token is among SERVICE_TOKEN's; takes the same time whatever it is. Any thread. */
bool caller_is_service(const char *token);

#endif
