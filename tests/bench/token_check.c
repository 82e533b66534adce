/*
 * token_check N: microseconds of processor time to verify a token never seen, one seen before, to sign, and of libsodium's verification
 * alone; N tokens.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/token.h"

#define NOW_S 1700000000
/* With the point before it: 64 bytes in base64url. */
#define SIGNATURE_TEXT_LEN 87

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double verify_all(const struct token_keys *keys, const struct text *tokens, long n)
{
	struct token_claims claims;
	double start = cpu_us();

	for (long i = 0; i < n; i++)
		if (token_verify(keys, tokens[i].bytes, tokens[i].len, NOW_S, &claims) != TOKEN_OK)
			BUG("a good token was refused");
	return (cpu_us() - start) / (double)n;
}

/* The signature of a text as long as a token's signed part. */
static double bare_verifications(const struct token_signer *signer, size_t len, long n)
{
	unsigned char signature[crypto_sign_BYTES], text[TOKEN_TEXT_MAX] = { 0 };
	double start;

	crypto_sign_detached(signature, NULL, text, len, signer->secret_key);
	start = cpu_us();
	for (long i = 0; i < n; i++)
		if (crypto_sign_verify_detached(signature, text, len, signer->key.public_key))
			BUG("a good signature was refused");
	return (cpu_us() - start) / (double)n;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : 2000;
	struct text *tokens = must_zalloc((size_t)n * sizeof(*tokens));
	unsigned char seed[TOKEN_SEED_LEN] = { 7 };
	struct token_signer signer;
	struct token_keys keys = { .n = 1 };
	double start, sign_us, bare_us, first_us, again_us;

	if (sodium_init() < 0)
		return 1;
	token_signer_init(&signer, seed);
	keys.items[0] = signer.key;
	start = cpu_us();
	for (long i = 0; i < n; i++) {
		const struct token_claims claims = { 1000000000 + i, 1 + i, uuid_random(), 1, NOW_S, NOW_S + 900 };

		token_sign(&signer, &claims, &tokens[i]);
	}
	sign_us = (cpu_us() - start) / (double)n;
	bare_us = bare_verifications(&signer, tokens[0].len - SIGNATURE_TEXT_LEN, n);
	first_us = verify_all(&keys, tokens, n);
	again_us = verify_all(&keys, tokens, n);
	printf("%.2f %.2f %.2f %.2f\n", first_us, again_us, sign_us, bare_us);
	for (long i = 0; i < n; i++)
		text_release(&tokens[i]);
	free(tokens);
	return 0;
}
