/*
 * Logins: one on one device, from the first pair of tokens to its revocation. A revocation raises the login's generation and stands in
 * PostgreSQL before anybody is told of it; refresh tokens are kept as hashes only.
 */
#ifndef GARRISON_AUTH_LOGIN_SESSION_H
#define GARRISON_AUTH_LOGIN_SESSION_H

#include "call.h"
#include "token.h"

#define REFRESH_TOKEN_MAX 44 /* 256 random bits in base64url, and a NUL */

struct login_session {
	struct uuid sid;
	int64_t account_id;
	int64_t char_id; /* 0: none chosen */
	int64_t generation;
};

/*
 * Opens a login and gives its first refresh token. proved_by: the password hash that it was proved by, NULL for one that was proved
 * otherwise. session's sid and generation are filled. 0, or -1: unavailable where the account has another hash by now, for who asks
 * again is judged by that one; or pg's error. The call's thread.
 */
int login_session_open(struct call *call, struct login_session *session, const char *proved_by,
	char refresh_token[static REFRESH_TOKEN_MAX], struct error *err);

/*
 * Whose refresh token is it? 0 and *session; the transaction is left open with the login locked, for login_session_renew or
 * pg_rollback. -1: unauthorized for an unknown, expired or revoked one, and for one that was spent longer than its grace ago, which
 * revokes the login first; or pg's error. The call's thread.
 */
int login_session_find(struct call *call, const char *refresh_token, struct login_session *session, struct error *err);
/* Spends the token that was found, gives the next, and keeps session->char_id. 0/-1 with pg's error. */
int login_session_renew(struct call *call, const struct login_session *session, const char *spent,
	char refresh_token[static REFRESH_TOKEN_MAX], struct error *err);

/* Revokes one login. 0/-1 with pg's error. The call's thread. */
int login_session_revoke(struct call *call, const struct uuid *sid, const char *reason, struct error *err);
/* Queues the revocation of all of an account's logins but one (nil: of all), inside the caller's pipeline. */
void login_session_queue_revoke_others(struct pg *pg, int64_t account_id, const struct uuid *keep, const char *reason);

/* Appends an access token of this login. Any thread. */
void login_session_sign(const struct login_session *session, struct text *out);
/*
 * Is this access token honoured now, by signature, expiry and revocation? 0 and *claims; or -1: unauthorized, or pg's error. The
 * call's thread.
 */
int login_session_authorize(
	struct call *call, const char *access_token, struct token_claims *claims, struct error *err);

#endif
