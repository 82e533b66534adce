/*
 * How often a password may be tried: LOGIN_FAILURES_MAX failures for a login from one address, ADDRESS_FAILURES_MAX from one address
 * for any, then nothing for a while. Counted in Redis, for all replicas together; while Redis is away no password is tried at all
 * (unavailable), for nobody could say how often it was.
 */
#ifndef GARRISON_AUTH_ATTEMPTS_H
#define GARRISON_AUTH_ATTEMPTS_H

#include "call.h"

/*
 * Compares a password with a hash (NULL: of nobody) as password_check, and counts. 0, or -1: rate_limited, or what kept it from being
 * compared. The caller holds a password_place. The call's thread.
 */
int attempt_password(
	struct call *call, const char *login, const char *password, const char *hash, bool *right, struct error *err);

#endif
