/*
 * The keys of access tokens. They are rows of auth_signing_keys, shared by all replicas: made at first start, looked up again twice a
 * second, so that a key added by an operator is known everywhere before it signs.
 */
#ifndef GARRISON_AUTH_KEYRING_H
#define GARRISON_AUTH_KEYRING_H

#include "call.h"
#include "token.h"

/*
 * Reads JWT_PRIVATE_KEY (NULL: there is none), which then signs whatever is stored. 0, or -1 invalid_payload in words that do not
 * repeat it. Main thread, before any other.
 */
int keyring_prepare(const char *private_key, struct error *err);
/* Looks the keys up; makes the first if none can sign. 0, or -1 with pg's error and what was known before. One thread at a time. */
int keyring_load(struct pg *pg, struct error *err);
/* The same as a timer's run. */
int64_t keyring_run(struct call *call);
/* The keys that verify now. Any thread. */
void keyring_keys(struct token_keys *out);
/* Appends a token signed by the key that signs now. Any thread, after keyring_load succeeded once. */
void keyring_sign(const struct token_claims *claims, struct text *out);

#endif
