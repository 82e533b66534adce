#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "token.h"

#define NOW 1700000000

/* RFC 8037, appendix A.1 to A.4. */
static const char rfc_seed[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
static const char rfc_public[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
static const char rfc_kid[] = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
static const char rfc_x[] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
static const char rfc_jws[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
			      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

static void unhex(const char *hex, unsigned char *out, size_t size)
{
	size_t len;

	CHECK_INT(sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL), 0);
	CHECK_INT((int64_t)len, (int64_t)size);
}

static struct token_signer rfc_signer(void)
{
	unsigned char seed[TOKEN_SEED_LEN];
	struct token_signer signer;

	unhex(rfc_seed, seed, sizeof(seed));
	token_signer_init(&signer, seed);
	return signer;
}

static struct token_keys keys_of(const struct token_signer *signer)
{
	struct token_keys keys = { .n = 1, .items = { signer->key } };

	return keys;
}

static struct token_claims some_claims(void)
{
	struct token_claims claims = {
		.account_id = 1000000001, .char_id = 101, .gen = 3, .iat_s = NOW, .exp_s = NOW + 900
	};

	CHECK_INT(uuid_parse("0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11", &claims.sid), 0);
	return claims;
}

static enum token_verdict verify(const struct token_keys *keys, const char *text, int64_t now_s)
{
	struct token_claims claims;

	return token_verify(keys, text, strlen(text), now_s, &claims);
}

static void base64url(struct text *out, const char *string)
{
	size_t size = sodium_base64_encoded_len(strlen(string), sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	text_reserve(out, size);
	sodium_bin2base64(out->bytes + out->len, size, (const unsigned char *)string, strlen(string),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->len += size - 1;
}

/* header and payload as given, well signed. */
static void sign(const struct token_signer *signer, const char *header, const char *payload, struct text *out)
{
	unsigned char signature[crypto_sign_BYTES];
	char signature_text[90];

	base64url(out, header);
	text_char(out, '.');
	base64url(out, payload);
	crypto_sign_detached(signature, NULL, (const unsigned char *)out->bytes, out->len, signer->secret_key);
	sodium_bin2base64(signature_text, sizeof(signature_text), signature, sizeof(signature),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	text_char(out, '.');
	text_str_add(out, signature_text);
}

static void keys_are_those_of_rfc_8037(void)
{
	CLEANUP(text_release) struct text jwks = { 0 };
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);
	unsigned char public_key[TOKEN_PUBLIC_KEY_LEN];

	unhex(rfc_public, public_key, sizeof(public_key));
	CHECK(memcmp(public_key, signer.key.public_key, sizeof(public_key)) == 0);
	CHECK_STR(signer.key.kid, rfc_kid);
	token_keys_write(&keys, &jwks);
	CHECK_STR(text_str(&jwks), "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\","
				   "\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\","
				   "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
	CHECK_HAS(text_str(&jwks), rfc_x);
}

/* A.4's JWS is made by these very keys, but says no kid and no claims: no token of ours. */
static void signatures_are_those_of_rfc_8037(void)
{
	CLEANUP(text_release) struct text made = { 0 };
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);

	sign(&signer, "{\"alg\":\"EdDSA\"}", "Example of Ed25519 signing", &made);
	CHECK_STR(text_str(&made), rfc_jws);
	CHECK_INT(verify(&keys, rfc_jws, NOW), TOKEN_BAD_SIGNATURE);
}

static void claims_go_both_ways(void)
{
	CLEANUP(text_release) struct text token = { 0 };
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);
	struct token_claims in = some_claims(), out;

	for (int round = 0; round < 3; round++) { /* the second time from what is remembered */
		text_reset(&token);
		in.char_id = round == 2 ? 0 : 101;
		token_sign(&signer, &in, &token);
		CHECK_INT(token_verify(&keys, token.bytes, token.len, NOW, &out), TOKEN_OK);
		CHECK_INT(out.account_id, in.account_id);
		CHECK_INT(out.char_id, in.char_id);
		CHECK_INT(out.gen, in.gen);
		CHECK_INT(out.iat_s, in.iat_s);
		CHECK_INT(out.exp_s, in.exp_s);
		CHECK_INT(uuid_compare(&out.sid, &in.sid), 0);
	}
	CHECK_INT(verify(&keys, text_str(&token), NOW + 899), TOKEN_OK);
	CHECK_INT(verify(&keys, text_str(&token), NOW + 900), TOKEN_EXPIRED);
}

/* Whoever refreshes within a second of his login expects another token. */
static void two_tokens_of_the_same_claims_differ(void)
{
	CLEANUP(text_release) struct text first = { 0 };
	CLEANUP(text_release) struct text second = { 0 };
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);
	struct token_claims in = some_claims();

	token_sign(&signer, &in, &first);
	token_sign(&signer, &in, &second);
	CHECK(strcmp(text_str(&first), text_str(&second)) != 0);
	CHECK_INT(verify(&keys, text_str(&first), NOW), TOKEN_OK);
	CHECK_INT(verify(&keys, text_str(&second), NOW), TOKEN_OK);
}

static void needs_no_nul_behind_it(void)
{
	CLEANUP(text_release) struct text token = { 0 };
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);
	struct token_claims in = some_claims(), out;
	size_t len;
	char *copy;

	token_sign(&signer, &in, &token);
	len = token.len;
	copy = must_alloc(len);
	memcpy(copy, token.bytes, len);
	CHECK_INT(token_verify(&keys, copy, len, NOW, &out), TOKEN_OK);
	free(copy);
	text_str_add(&token, ".and more");
	CHECK_INT(token_verify(&keys, token.bytes, len, NOW, &out), TOKEN_OK);
	CHECK_INT(token_verify(&keys, token.bytes, token.len, NOW, &out), TOKEN_MALFORMED);
}

/* Every single character altered, and every shorter text: never accepted, also after the right one was. */
static void an_altered_or_cut_token_is_refused(void)
{
	CLEANUP(text_release) struct text token = { 0 };
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);
	struct token_claims in = some_claims();
	CLEANUP(release_memory) char *altered = NULL;

	token_sign(&signer, &in, &token);
	CHECK_INT(verify(&keys, text_str(&token), NOW), TOKEN_OK);
	altered = must_strdup(text_str(&token));
	for (size_t i = 0; i < token.len; i++) {
		altered[i] = altered[i] == 'A' ? 'B' : 'A';
		if (!CHECK(verify(&keys, altered, NOW) != TOKEN_OK))
			fprintf(stderr, "\tat %zu\n", i);
		altered[i] = token.bytes[i];
	}
	for (size_t len = 0; len < token.len; len++) {
		struct token_claims claims;

		CHECK(token_verify(&keys, token.bytes, len, NOW, &claims) != TOKEN_OK);
	}
	CHECK_INT(verify(&keys, altered, NOW), TOKEN_OK);
}

static void a_key_of_another_is_refused(void)
{
	CLEANUP(text_release) struct text token = { 0 };
	struct token_signer signer = rfc_signer(), other;
	struct token_keys keys = keys_of(&signer), none = { 0 }, both;
	struct token_claims in = some_claims();
	unsigned char seed[TOKEN_SEED_LEN] = { 1 };

	token_signer_init(&other, seed);
	CHECK(strcmp(other.key.kid, signer.key.kid) != 0);
	token_sign(&other, &in, &token);
	CHECK_INT(verify(&keys, text_str(&token), NOW), TOKEN_BAD_SIGNATURE);
	CHECK_INT(verify(&none, text_str(&token), NOW), TOKEN_BAD_SIGNATURE);
	both = (struct token_keys){ .n = 2, .items = { signer.key, other.key } };
	CHECK_INT(verify(&both, text_str(&token), NOW), TOKEN_OK);
	/* A key that is no longer among them, also where the signature is remembered. */
	CHECK_INT(verify(&keys, text_str(&token), NOW), TOKEN_BAD_SIGNATURE);
	/* Another's key under the name of ours. */
	text_reset(&token);
	memcpy(other.key.kid, signer.key.kid, sizeof(other.key.kid));
	token_sign(&other, &in, &token);
	CHECK_INT(verify(&keys, text_str(&token), NOW), TOKEN_BAD_SIGNATURE);
}

#define HEADER "{\"alg\":\"EdDSA\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}"
#define SID "\"sid\":\"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11\""
#define REST SID ",\"gen\":1,\"iat\":1,\"exp\":1700000900}"
#define GOOD "{\"sub\":\"7\",\"char\":null," REST

/* All of these are well signed: what counts is what they say. */
static const struct {
	const char *header, *payload;
	enum token_verdict verdict;
} signed_cases[] = {
	{ HEADER, GOOD, TOKEN_OK },
	{ "{\"alg\":\"none\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}", GOOD, TOKEN_BAD_SIGNATURE },
	{ "{\"alg\":\"None\"}", GOOD, TOKEN_BAD_SIGNATURE },
	{ "{\"alg\":\"HS256\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}", GOOD, TOKEN_BAD_SIGNATURE },
	{ "{\"alg\":\"eddsa\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}", GOOD, TOKEN_BAD_SIGNATURE },
	{ "{\"alg\":\"EdDSA\"}", GOOD, TOKEN_BAD_SIGNATURE },
	{ "{\"alg\":\"EdDSA\",\"kid\":\"\"}", GOOD, TOKEN_BAD_SIGNATURE },
	{ "{\"alg\":\"EdDSA\",\"kid\":\"../../dev/null\"}", GOOD, TOKEN_BAD_SIGNATURE },
	{ "{\"alg\":\"EdDSA\",\"kid\":7}", GOOD, TOKEN_MALFORMED },
	{ "{\"alg\":1}", GOOD, TOKEN_MALFORMED },
	{ "{\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}", GOOD, TOKEN_MALFORMED },
	{ "{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}", GOOD,
		TOKEN_MALFORMED },
	{ "{\"alg\":\"EdDSA\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\",\"crit\":[\"exp\"]}", GOOD,
		TOKEN_MALFORMED },
	{ "[]", GOOD, TOKEN_MALFORMED },
	{ "", GOOD, TOKEN_MALFORMED },
	{ "{", GOOD, TOKEN_MALFORMED },
	{ HEADER "x", GOOD, TOKEN_MALFORMED },
	{ HEADER, "", TOKEN_MALFORMED },
	{ HEADER, "[]", TOKEN_MALFORMED },
	{ HEADER, "{}", TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":7,\"char\":1," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"-7\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"07\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"0\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7 \"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"99999999999999999999\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"9007199254740992\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"9007199254740991\"," REST, TOKEN_OK },
	{ HEADER, "{\"sub\":\"7\",\"char\":0," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\",\"char\":\"1\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\",\"sub\":\"8\"," REST, TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\",\"gen\":1,\"iat\":1,\"exp\":1700000900}", TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\"," SID ",\"iat\":1,\"exp\":1700000900}", TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\"," SID ",\"gen\":1,\"iat\":1}", TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\"," SID ",\"gen\":1,\"iat\":1,\"exp\":\"1700000900\"}", TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\"," SID ",\"gen\":1,\"iat\":1,\"exp\":1e300}", TOKEN_MALFORMED },
	{ HEADER, "{\"sub\":\"7\"," SID ",\"gen\":1,\"iat\":1,\"exp\":0}", TOKEN_EXPIRED },
};

static void hostile_headers_and_payloads(void)
{
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);

	for (size_t i = 0; i < ARRAY_LEN(signed_cases); i++) {
		CLEANUP(text_release) struct text token = { 0 };

		sign(&signer, signed_cases[i].header, signed_cases[i].payload, &token);
		if (!CHECK_INT(verify(&keys, text_str(&token), NOW), signed_cases[i].verdict))
			fprintf(stderr, "\tfor %s %s\n", signed_cases[i].header, signed_cases[i].payload);
	}
}

static void texts_that_are_no_token(void)
{
	static const char *const cases[] = { "", ".", "..", "...", "a.b.c", "a.b", "a.b.c.d", "e30.e30.", "e30.e30.e30",
		"eyJhbGciOiJFZERTQSJ9.e30.AA==", " eyJhbGciOiJFZERTQSJ9.e30.AAAA", "eyJhbGciOiJFZERTQSJ9.e30.AA\n" };
	struct token_signer signer = rfc_signer();
	struct token_keys keys = keys_of(&signer);
	char *huge = must_alloc((1 << 20) + 1);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!CHECK_INT(verify(&keys, cases[i], NOW), TOKEN_MALFORMED))
			fprintf(stderr, "\tfor \"%s\"\n", cases[i]);
	memset(huge, '.', 1 << 20);
	huge[1 << 20] = '\0';
	CHECK_INT(verify(&keys, huge, NOW), TOKEN_MALFORMED);
	memset(huge, 'A', 1 << 20);
	CHECK_INT(verify(&keys, huge, NOW), TOKEN_MALFORMED);
	free(huge);
	/* alg none as libraries once accepted it: no signature at all. */
	CHECK_INT(verify(&keys, "eyJhbGciOiJub25lIn0.e30.", NOW), TOKEN_BAD_SIGNATURE);
}

static void verdicts_have_the_contracts_names(void)
{
	CHECK_STR(token_verdict_name(TOKEN_OK), "ok");
	CHECK_STR(token_verdict_name(TOKEN_MALFORMED), "malformed");
	CHECK_STR(token_verdict_name(TOKEN_BAD_SIGNATURE), "bad_signature");
	CHECK_STR(token_verdict_name(TOKEN_EXPIRED), "expired");
	CHECK_STR(token_verdict_name(TOKEN_REVOKED), "revoked");
}

static const struct check_test tests[] = {
	CHECK_TEST(keys_are_those_of_rfc_8037),
	CHECK_TEST(signatures_are_those_of_rfc_8037),
	CHECK_TEST(claims_go_both_ways),
	CHECK_TEST(two_tokens_of_the_same_claims_differ),
	CHECK_TEST(needs_no_nul_behind_it),
	CHECK_TEST(an_altered_or_cut_token_is_refused),
	CHECK_TEST(a_key_of_another_is_refused),
	CHECK_TEST(hostile_headers_and_payloads),
	CHECK_TEST(texts_that_are_no_token),
	CHECK_TEST(verdicts_have_the_contracts_names),
};

int main(int argc, char **argv)
{
	return sodium_init() < 0 ? 1 : check_main(tests, ARRAY_LEN(tests), argc, argv);
}
