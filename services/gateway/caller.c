#include "caller.h"

#include <sodium.h>
#include <string.h>

#include "gateway_settings.h"

#define DIGEST_LEN crypto_generichash_BYTES

static void digest(const char *token, unsigned char out[static DIGEST_LEN])
{
	crypto_generichash(out, DIGEST_LEN, (const unsigned char *)token, strlen(token), NULL, 0);
}

bool caller_is_service(const char *token)
{
	const struct setting_word *tokens = gateway_settings.service_tokens.items;
	unsigned char given[DIGEST_LEN], wanted[DIGEST_LEN];
	int found = 0;

	/* Digests have one length, and all are compared to their ends. */
	digest(token, given);
	for (size_t i = 0; i < gateway_settings.service_tokens.n; i++) {
		digest(tokens[i].text, wanted);
		found |= sodium_memcmp(given, wanted, DIGEST_LEN) == 0;
	}
	return found;
}

static int check_player(const char *token, struct caller *caller, struct error *err)
{
	enum token_verdict verdict;

	switch (token_guard_check(token, strlen(token), &caller->claims, &verdict)) {
	case GUARD_OK:
		caller->kind = CALLER_PLAYER;
		return 0;
	case GUARD_UNSURE:
		return error_set(err, CODE_UNAVAILABLE, "it cannot be known now whether this token was revoked");
	default:
		return error_set(err, CODE_UNAUTHORIZED, "the token is not valid: %s", token_verdict_name(verdict));
	}
}

int caller_check(enum who who, const char *bearer, struct caller *caller, struct error *err)
{
	struct caller found = { 0 };

	if (who != WHO_ANYBODY && !bearer)
		return error_set(err, CODE_UNAUTHORIZED, "this needs a token: Authorization: Bearer <token>");
	if (who == WHO_PLAYER || who == WHO_SERVICE) {
		if (caller_is_service(bearer))
			found.kind = CALLER_SERVICE;
		else if (check_player(bearer, &found, err))
			return -1;
		if (who == WHO_SERVICE && found.kind != CALLER_SERVICE)
			return error_set(err, CODE_FORBIDDEN, "this is for services: a service token is needed");
	}
	*caller = found;
	return 0;
}
