/*
 * Which access tokens are honoured now: keys and revocations as PostgreSQL has them (tables auth_signing_keys and auth_logins),
 * looked up a few times a second and kept in memory, so that a check asks nobody. One guard a process.
 *
 * The promise to the revoker: set auth_logins.revoked_at = now() of every login that is revoked (logout: its own; everywhere or a new
 * password: the account's others too), commit, answer; within TOKEN_GUARD_FRESH_MS no guard honours a token of that sid. The rows
 * must stay for as long as an access token lives. The claim gen is not looked at here.
 */
#ifndef GARRISON_TOKEN_GUARD_H
#define GARRISON_TOKEN_GUARD_H

#include "error.h"
#include "pg.h"
#include "token.h"

/* A look that began longer ago is not trusted: revocations may have come since. */
#define TOKEN_GUARD_FRESH_MS 900
/* How long after one look the next is due. */
#define TOKEN_GUARD_EVERY_MS 200

enum guard_verdict { GUARD_OK, GUARD_REFUSED, GUARD_UNSURE /* PostgreSQL could not be asked lately: nobody knows */ };

/*
 * Looks at the database: all keys, and the logins revoked since the last look (at first: in the last access_ttl_ms, the longest life of
 * a token). 0, or -1 with pg's error, and then what was known before stays. One thread at a time.
 */
int token_guard_look(struct pg *pg, int64_t access_ttl_ms, struct error *err);

/*
 * Is this token honoured now? GUARD_REFUSED: *verdict says why. *claims is filled for GUARD_OK alone. Any thread.
 */
enum guard_verdict token_guard_check(
	const char *text, size_t len, struct token_claims *claims, enum token_verdict *verdict);

/* The public keys as a JWK set; of the last look, however old. Any thread. */
void token_guard_jwks(struct text *out);

#endif
