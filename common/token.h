/*
 * Access tokens: JWT (RFC 7519) signed with Ed25519 (EdDSA, RFC 8037). Whoever holds the public keys verifies them without asking
 * anybody; whether a login was revoked meanwhile, token_guard.h knows.
 */
#ifndef GARRISON_TOKEN_H
#define GARRISON_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "text.h"
#include "uuid.h"

#define TOKEN_KID_MAX 64 /* characters, letters, digits, - and _ */
#define TOKEN_SEED_LEN 32
#define TOKEN_PUBLIC_KEY_LEN 32
#define TOKEN_SECRET_KEY_LEN 64
#define TOKEN_KEYS_MAX 16
#define TOKEN_TEXT_MAX 1024 /* a longer text is malformed, unread */

/* What a token says. In JSON: sub (the account, as a string of digits), char (null for none), sid, gen, iat, exp (Unix seconds). */
struct token_claims {
	int64_t account_id;
	int64_t char_id; /* 0: logged in without a character */
	struct uuid sid; /* the login */
	int64_t gen;
	int64_t iat_s, exp_s;
};

struct token_key {
	char kid[TOKEN_KID_MAX + 1];
	unsigned char public_key[TOKEN_PUBLIC_KEY_LEN];
};

/* The keys that verify. */
struct token_keys {
	size_t n;
	struct token_key items[TOKEN_KEYS_MAX];
};

/* The key that signs, with its public half. */
struct token_signer {
	struct token_key key;
	unsigned char secret_key[TOKEN_SECRET_KEY_LEN];
};

enum token_verdict { TOKEN_OK, TOKEN_MALFORMED, TOKEN_BAD_SIGNATURE, TOKEN_EXPIRED, TOKEN_REVOKED };

/* "malformed", "bad_signature", "expired", "revoked": what validate_token gives as reason; "ok". Any thread. */
const char *token_verdict_name(enum token_verdict verdict);

/*
 * Makes the key pair of this seed; the kid is made of the public key (RFC 7638 thumbprint), so that all replicas name it alike. Any
 * thread.
 */
void token_signer_init(struct token_signer *signer, const unsigned char seed[static TOKEN_SEED_LEN]);

/* Appends the token to out; of the same claims never the same text. Any thread. */
void token_sign(const struct token_signer *signer, const struct token_claims *claims, struct text *out);

/*
 * Verifies form, algorithm (EdDSA alone), signature and expiry, in this order, and fills *claims when all are right. A key that is
 * not among keys is a bad signature. Needs no NUL behind text. Says nothing of revocation. Any thread.
 */
enum token_verdict token_verify(
	const struct token_keys *keys, const char *text, size_t len, int64_t now_s, struct token_claims *claims);

/* Writes {"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid","x"}]} (RFC 7517) onto out. Any thread. */
void token_keys_write(const struct token_keys *keys, struct text *out);

#endif
