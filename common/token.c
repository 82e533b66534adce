#include "token.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "field.h"
#include "json.h"

#define BASE64URL sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define PUBLIC_KEY_TEXT_MAX 44
#define SCRATCH_CAP ((size_t)256 << 10)
#define ACCOUNT_DIGITS_MAX 16
#define NONCE_LEN 9
#define NONCE_TEXT_MAX 13

struct header {
	const char *alg;
	const char *kid;
	struct json_text crit;
};
static const struct field header_fields[] = {
	FIELD(struct header, alg, .required = true),
	FIELD(struct header, kid),
	FIELD(struct header, crit),
};
static const struct schema header_schema = SCHEMA(struct header, header_fields, .name = "token header");

struct payload {
	const char *sub;
	struct opt_int char_id;
	struct uuid sid;
	int64_t gen, iat, exp;
};
static const struct field payload_fields[] = {
	FIELD(struct payload, sub, .required = true, .min = 1, .max = ACCOUNT_DIGITS_MAX),
	FIELD(struct payload, char_id, .as = "char", .nullable = true, .min = 1, .max = INT_LIMIT),
	FIELD(struct payload, sid, .required = true),
	FIELD(struct payload, gen, .required = true, .min = 0, .max = INT_LIMIT),
	FIELD(struct payload, iat, .required = true, .min = 0, .max = INT_LIMIT),
	FIELD(struct payload, exp, .required = true, .min = 0, .max = INT_LIMIT),
};
static const struct schema payload_schema = SCHEMA(struct payload, payload_fields, .name = "token payload");

const char *token_verdict_name(enum token_verdict verdict)
{
	static const char *const names[] = {
		[TOKEN_OK] = "ok",
		[TOKEN_MALFORMED] = "malformed",
		[TOKEN_BAD_SIGNATURE] = "bad_signature",
		[TOKEN_EXPIRED] = "expired",
		[TOKEN_REVOKED] = "revoked",
	};

	return names[verdict];
}

/* ---- writing ---- */

static void add_base64url(struct text *out, const void *bytes, size_t len)
{
	size_t size = sodium_base64_encoded_len(len, BASE64URL);

	text_reserve(out, size);
	sodium_bin2base64(out->bytes + out->len, size, bytes, len, BASE64URL);
	out->len += size - 1;
}

static void public_key_text(const struct token_key *key, char text[static PUBLIC_KEY_TEXT_MAX])
{
	sodium_bin2base64(text, PUBLIC_KEY_TEXT_MAX, key->public_key, sizeof(key->public_key), BASE64URL);
}

void token_signer_init(struct token_signer *signer, const unsigned char seed[static TOKEN_SEED_LEN])
{
	char x[PUBLIC_KEY_TEXT_MAX], json[128];
	unsigned char digest[crypto_hash_sha256_BYTES];
	int len;

	memset(signer, 0, sizeof(*signer));
	crypto_sign_seed_keypair(signer->key.public_key, signer->secret_key, seed);
	public_key_text(&signer->key, x);
	/* RFC 8037, appendix A.3: the required members, in this order, without white space. */
	len = snprintf(json, sizeof(json), "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
	crypto_hash_sha256(digest, (const unsigned char *)json, (size_t)len);
	sodium_bin2base64(signer->key.kid, sizeof(signer->key.kid), digest, sizeof(digest), BASE64URL);
}

/* Two tokens of one login and second would be one text but for the nonce, which nobody reads: claims are what is agreed on. */
static void add_header(struct text *out, const char *kid)
{
	CLEANUP(text_release) struct text json = { 0 };
	unsigned char random[NONCE_LEN];
	char nonce[NONCE_TEXT_MAX];

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(nonce, sizeof(nonce), random, sizeof(random), BASE64URL);
	json_open(&json, '{');
	json_key_string(&json, "alg", "EdDSA");
	json_key_string(&json, "typ", "JWT");
	json_key_string(&json, "kid", kid);
	json_key_string(&json, "nonce", nonce);
	json_close(&json, '}');
	add_base64url(out, json.bytes, json.len);
}

static void add_payload(struct text *out, const struct token_claims *claims)
{
	CLEANUP(text_release) struct text json = { 0 };
	char account[24];
	const struct payload payload = {
		.sub = account,
		.char_id = { claims->char_id != 0, claims->char_id },
		.sid = claims->sid,
		.gen = claims->gen,
		.iat = claims->iat_s,
		.exp = claims->exp_s,
	};

	snprintf(account, sizeof(account), "%" PRId64, claims->account_id);
	schema_write(&payload_schema, &payload, &json);
	add_base64url(out, json.bytes, json.len);
}

void token_sign(const struct token_signer *signer, const struct token_claims *claims, struct text *out)
{
	unsigned char signature[crypto_sign_BYTES];
	size_t begin = out->len;

	add_header(out, signer->key.kid);
	text_char(out, '.');
	add_payload(out, claims);
	crypto_sign_detached(
		signature, NULL, (const unsigned char *)out->bytes + begin, out->len - begin, signer->secret_key);
	text_char(out, '.');
	add_base64url(out, signature, sizeof(signature));
}

void token_keys_write(const struct token_keys *keys, struct text *out)
{
	json_open(out, '{');
	json_key(out, "keys");
	json_open(out, '[');
	for (size_t i = 0; i < keys->n; i++) {
		char x[PUBLIC_KEY_TEXT_MAX];

		public_key_text(&keys->items[i], x);
		json_open(out, '{');
		json_key_string(out, "kty", "OKP");
		json_key_string(out, "crv", "Ed25519");
		json_key_string(out, "alg", "EdDSA");
		json_key_string(out, "use", "sig");
		json_key_string(out, "kid", keys->items[i].kid);
		json_key_string(out, "x", x);
		json_close(out, '}');
	}
	json_close(out, ']');
	json_close(out, '}');
}

/* ---- tokens that were found good ---- */

/*
 * The same token is checked many times in its life, and reading and verifying it costs far more than hashing it. There is room for
 * those of several thousand players who come again and again, in any order, with few that share a bucket too many. A slot holds what a
 * text said and the key that had signed it, which is so for ever; whether that key is still honoured, and the time, are looked at anew.
 * The digest's own secret keeps others from choosing a slot.
 */
#define BUCKETS 1024
#define BUCKET_SLOTS 8
#define DIGEST_LEN 16

struct digest {
	unsigned char bytes[DIGEST_LEN];
};
struct known_token {
	struct digest digest;
	unsigned char public_key[TOKEN_PUBLIC_KEY_LEN];
	struct token_claims claims;
};
static struct {
	pthread_once_t once;
	pthread_mutex_t mutex;
	unsigned char secret[crypto_generichash_KEYBYTES];
	struct known_token buckets[BUCKETS][BUCKET_SLOTS]; /* newest first */
} known = { .once = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER };

static void choose_secret(void)
{
	randombytes_buf(known.secret, sizeof(known.secret));
}

static struct digest digest_of(const char *text, size_t len)
{
	struct digest digest;

	pthread_once(&known.once, choose_secret);
	crypto_generichash(digest.bytes, sizeof(digest.bytes), (const unsigned char *)text, len, known.secret,
		sizeof(known.secret));
	return digest;
}

static struct known_token *bucket_of(const struct digest *digest)
{
	uint32_t number;

	memcpy(&number, digest->bytes, sizeof(number));
	return known.buckets[number % BUCKETS];
}

static bool find_known(const struct digest *digest, struct known_token *found)
{
	const struct known_token *bucket = bucket_of(digest);
	bool is_known = false;

	pthread_mutex_lock(&known.mutex);
	for (size_t i = 0; i < BUCKET_SLOTS && !is_known; i++) {
		is_known = sodium_memcmp(&bucket[i].digest, digest, sizeof(*digest)) == 0;
		if (is_known)
			*found = bucket[i];
	}
	pthread_mutex_unlock(&known.mutex);
	return is_known;
}

/* True when the text was found good before, by a key that is among keys. An empty slot's key, all zeros, never is. */
static bool recall(const struct digest *digest, const struct token_keys *keys, struct token_claims *claims)
{
	struct known_token found;

	if (!find_known(digest, &found))
		return false;
	for (size_t i = 0; i < keys->n; i++)
		if (memcmp(keys->items[i].public_key, found.public_key, sizeof(found.public_key)) == 0) {
			*claims = found.claims;
			return true;
		}
	return false;
}

static void remember(const struct digest *digest, const struct token_key *key, const struct token_claims *claims)
{
	struct known_token *bucket = bucket_of(digest);

	pthread_mutex_lock(&known.mutex);
	memmove(bucket + 1, bucket, (BUCKET_SLOTS - 1) * sizeof(*bucket));
	bucket->digest = *digest;
	memcpy(bucket->public_key, key->public_key, sizeof(bucket->public_key));
	bucket->claims = *claims;
	pthread_mutex_unlock(&known.mutex);
}

/* ---- reading ---- */

struct part {
	const char *text;
	size_t len;
};

/* Three parts with points between; false for any other number. */
static bool split(const char *text, size_t len, struct part parts[static 3])
{
	for (size_t i = 0; i < 3; i++) {
		const char *point = memchr(text, '.', len);

		if (!point != (i == 2))
			return false;
		parts[i] = (struct part){ text, point ? (size_t)(point - text) : len };
		if (point) {
			len -= parts[i].len + 1;
			text = point + 1;
		}
	}
	return true;
}

/* Strictly: no padding, no white space, no stray bits. *len bytes into out, which has room for size. */
static bool decode(struct part part, unsigned char *out, size_t size, size_t *len)
{
	return sodium_base642bin(out, size, part.text, part.len, NULL, len, NULL, BASE64URL) == 0;
}

static bool read_part(struct part part, const struct schema *schema, void *out, struct scratch *scratch)
{
	unsigned char bytes[TOKEN_TEXT_MAX];
	struct problems problems = { 0 };
	const cJSON *json;
	size_t len;

	if (!decode(part, bytes, sizeof(bytes), &len))
		return false;
	json = json_parse((const char *)bytes, len, scratch, NULL);
	return cJSON_IsObject(json) && schema_read(schema, json, out, scratch, &problems) == 0;
}

static const struct token_key *find_key(const struct token_keys *keys, const char *kid)
{
	for (size_t i = 0; kid && i < keys->n; i++)
		if (strcmp(keys->items[i].kid, kid) == 0)
			return &keys->items[i];
	return NULL;
}

static enum token_verdict check_signature(const struct token_keys *keys, const struct header *header,
	const struct part parts[static 3], const struct token_key **key)
{
	unsigned char signature[crypto_sign_BYTES];
	size_t signed_len = parts[0].len + 1 + parts[1].len, len;

	if (strcmp(header->alg, "EdDSA") != 0)
		return TOKEN_BAD_SIGNATURE;
	if (!decode(parts[2], signature, sizeof(signature), &len) || len != sizeof(signature) || header->crit.text)
		return TOKEN_MALFORMED;
	*key = find_key(keys, header->kid);
	if (!*key || crypto_sign_verify_detached(
			     signature, (const unsigned char *)parts[0].text, signed_len, (*key)->public_key))
		return TOKEN_BAD_SIGNATURE;
	return TOKEN_OK;
}

static bool read_account(const char *digits, int64_t *account_id)
{
	char *end;

	if (strspn(digits, "0123456789") != strlen(digits) || digits[0] == '0')
		return false;
	*account_id = strtoll(digits, &end, 10);
	return *account_id > 0 && *account_id <= INT_LIMIT;
}

static bool read_claims(struct part part, struct token_claims *claims, struct scratch *scratch)
{
	struct payload payload;
	int64_t account_id;

	if (!read_part(part, &payload_schema, &payload, scratch) || !read_account(payload.sub, &account_id))
		return false;
	*claims = (struct token_claims){
		.account_id = account_id,
		.char_id = payload.char_id.set ? payload.char_id.value : 0,
		.sid = payload.sid,
		.gen = payload.gen,
		.iat_s = payload.iat,
		.exp_s = payload.exp,
	};
	return true;
}

/* Everything but the time. */
static enum token_verdict read_token(const struct token_keys *keys, const char *text, size_t len,
	const struct digest *digest, struct token_claims *claims)
{
	CLEANUP(scratch_release) struct scratch scratch;
	const struct token_key *key = NULL;
	enum token_verdict verdict;
	struct header header;
	struct part parts[3];

	scratch_init(&scratch, SCRATCH_CAP);
	if (!split(text, len, parts) || !read_part(parts[0], &header_schema, &header, &scratch))
		return TOKEN_MALFORMED;
	verdict = check_signature(keys, &header, parts, &key);
	if (verdict != TOKEN_OK)
		return verdict;
	if (!read_claims(parts[1], claims, &scratch))
		return TOKEN_MALFORMED;
	remember(digest, key, claims);
	return TOKEN_OK;
}

enum token_verdict token_verify(
	const struct token_keys *keys, const char *text, size_t len, int64_t now_s, struct token_claims *claims)
{
	enum token_verdict verdict = TOKEN_OK;
	struct token_claims found;
	struct digest digest;

	if (len > TOKEN_TEXT_MAX)
		return TOKEN_MALFORMED;
	digest = digest_of(text, len);
	if (!recall(&digest, keys, &found))
		verdict = read_token(keys, text, len, &digest, &found);
	if (verdict != TOKEN_OK)
		return verdict;
	if (found.exp_s <= now_s)
		return TOKEN_EXPIRED;
	*claims = found;
	return TOKEN_OK;
}
