/*
 * Access tokens and init_data. Byte 1 chooses: the rest is a token as it came, a token's header and payload that are then signed well,
 * init_data as it came, init_data that is then given its right hash, or the parts of an Authorization header and a traceparent.
 * What is honoured must be well signed, and say what it was made to say.
 */
#include <sodium.h>
#include <string.h>

#include "input.h"
#include "random_json.h"
#include "services/auth/telegram.h"
#include "token.h"
#include "trace.h"

#define CAP ((size_t)4 << 20)
#define NOW_S 1700000000
#define BOT "1:fuzz"
#define PAIRS_MAX 64

static const char *const pieces[] = { "{", "}", "\"alg\":\"EdDSA\"", "\"alg\":\"none\"", "\"typ\":\"JWT\"",
	"\"kid\":\"", "\"sub\":\"1\"", "\"sub\":1", "\"char\":101", "\"char\":null",
	"\"sid\":\"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11\"", "\"gen\":1", "\"iat\":1700000000", "\"exp\":1700000900",
	"\"exp\":1e300", "\"crit\":[]", ",", ".", "-", "_", "=", "auth_date=1700000000", "&", "user=%7B%22id%22%3A1%7D",
	"user={\"id\":1}", "hash=", "%00", "%", "+", "query_id=a", "signature=x", "auth_date=99999999999999999999",
	"user=", "%zz", "%C3" };

static const struct token_signer *signer(void)
{
	static struct token_signer made;
	static const unsigned char seed[TOKEN_SEED_LEN] = { 1 };

	if (!*made.key.kid)
		token_signer_init(&made, seed);
	return &made;
}

static enum token_verdict verify(const char *text, size_t len, struct token_claims *claims)
{
	struct token_keys keys = { .n = 1, .items = { signer()->key } };

	return token_verify(&keys, text, len, NOW_S, claims);
}

static void base64url(struct text *out, const char *bytes, size_t len)
{
	size_t size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	text_reserve(out, size);
	sodium_bin2base64(out->bytes + out->len, size, (const unsigned char *)bytes, len,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->len += size - 1;
}

/* Claims that pass must come to the same token's claims again. */
static void check_claims(const struct token_claims *claims)
{
	CLEANUP(text_release) struct text again = { 0 };
	struct token_claims read;

	token_sign(signer(), claims, &again);
	if (verify(again.bytes, again.len, &read) != TOKEN_OK || read.account_id != claims->account_id ||
		read.char_id != claims->char_id || read.exp_s != claims->exp_s || read.gen != claims->gen)
		BUG("claims do not come back: %s", text_str(&again));
}

static void take_token(const char *text, size_t len)
{
	struct token_claims claims;

	/* Only who has the key can sign: a token that chance made and that passes is a forgery. */
	if (verify(text, len, &claims) == TOKEN_OK)
		BUG("a forged token is honoured: %.*s", (int)len, text);
}

static void take_signed(struct source *source, struct scratch *scratch)
{
	CLEANUP(text_release) struct text token = { 0 };
	unsigned char signature[crypto_sign_BYTES];
	size_t header_len, payload_len;
	const char *header = source_text(source, 300, scratch, &header_len);
	const char *payload = source_text(source, 600, scratch, &payload_len);
	struct token_claims claims;
	const char *head = source_byte(source) % 4
				   ? scratch_printf(scratch, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", signer()->key.kid)
				   : header;

	base64url(&token, head, head == header ? header_len : strlen(head));
	text_char(&token, '.');
	base64url(&token, payload, payload_len);
	crypto_sign_detached(signature, NULL, (const unsigned char *)token.bytes, token.len, signer()->secret_key);
	text_char(&token, '.');
	base64url(&token, (const char *)signature, sizeof(signature));
	if (verify(token.bytes, token.len, &claims) == TOKEN_OK)
		check_claims(&claims);
}

static void take_init_data(const char *text, struct scratch *scratch)
{
	int64_t user_id;
	struct error err;

	if (telegram_user(text, BOT, NOW_S, 3600, scratch, &user_id, &err) == 0)
		BUG("forged init_data is honoured: %s", text);
	if (err.code != CODE_UNAUTHORIZED || !*err.text)
		BUG("refused as %s: %s", code_name(err.code), err.text);
}

/* The hash of pairs whose names are in order and that need no decoding; of others it is another, which is refused. */
static void take_hashed(const char *text, struct scratch *scratch)
{
	unsigned char secret[32], hash[32];
	char hex[65], *lines = scratch_strdup(scratch, text);
	int64_t user_id = 0;
	struct error err;

	for (char *at = lines; (at = strchr(at, '&'));)
		*at = '\n';
	crypto_auth_hmacsha256_state state;
	crypto_auth_hmacsha256_init(&state, (const unsigned char *)"WebAppData", 10);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)BOT, strlen(BOT));
	crypto_auth_hmacsha256_final(&state, secret);
	crypto_auth_hmacsha256_init(&state, secret, sizeof(secret));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)lines, strlen(lines));
	crypto_auth_hmacsha256_final(&state, hash);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	if (telegram_user(
		    scratch_printf(scratch, "%s&hash=%s", text, hex), BOT, NOW_S, 3600, scratch, &user_id, &err) == 0 &&
		user_id < 1)
		BUG("user %lld", (long long)user_id);
}

static void take_trace(const char *text)
{
	char out[TRACEPARENT_LEN + 1];

	trace_continue(text, out);
	if (strlen(out) != TRACEPARENT_LEN || memcmp(out, "00-", 3) != 0)
		BUG("%s", out);
}

void take_input(const uint8_t *data, size_t size)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = CAP };
	struct source source = { data, size };
	unsigned kind = source_byte(&source) % 5;
	const char *text = scratch_memdup(&scratch, source.at ? (const void *)source.at : "", source.left);

	if (kind == 0)
		take_token(text, source.left);
	else if (kind == 1)
		take_signed(&source, &scratch);
	else if (kind == 2)
		take_init_data(text, &scratch);
	else if (kind == 3)
		take_hashed(text, &scratch);
	else
		take_trace(text);
}

size_t make_input(uint8_t *data, size_t size, size_t max, uint64_t seed)
{
	CLEANUP(text_release) struct text made = { 0 };

	(void)size;
	text_char(&made, (char)random_below(&seed, 5));
	for (unsigned n = random_below(&seed, 16); n; n--)
		text_str_add(&made, pieces[random_below(&seed, ARRAY_LEN(pieces))]);
	if (made.len > max)
		made.len = max;
	memcpy(data, made.bytes, made.len);
	return made.len;
}
