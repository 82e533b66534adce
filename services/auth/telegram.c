#include "telegram.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "field.h"
#include "percent.h"

#define PAIRS_MAX 64
#define CLOCK_SKEW_S 2 /* between Telegram's clock and ours */
#define HASH_LEN crypto_auth_hmacsha256_BYTES

struct pair {
	const char *name;
	const char *value;
};
struct pairs {
	size_t n;
	struct pair items[PAIRS_MAX];
};

static int refuse_data(struct error *err, const char *why)
{
	return error_set(err, CODE_UNAUTHORIZED, "init_data is not valid: %s", why);
}

/* ---- from text to pairs ---- */

static const char *find(const struct pairs *pairs, const char *name)
{
	for (size_t i = 0; i < pairs->n; i++)
		if (strcmp(pairs->items[i].name, name) == 0)
			return pairs->items[i].value;
	return NULL;
}

static int add_pair(struct pairs *pairs, char *text, struct error *err)
{
	char *value = strchr(text, '=');

	if (!value)
		return refuse_data(err, "a part is not name=value");
	*value++ = '\0';
	/* As browsers write forms: a plus is a space. */
	if (!percent_decode(text, strlen(text), true, text) || !percent_decode(value, strlen(value), true, value))
		return refuse_data(err, "a part is not percent-encoded");
	if (find(pairs, text))
		return refuse_data(err, "a name occurs twice");
	if (pairs->n == PAIRS_MAX)
		return refuse_data(err, "it has too many parts");
	pairs->items[pairs->n++] = (struct pair){ text, value };
	return 0;
}

static int split(char *text, struct pairs *pairs, struct error *err)
{
	while (text) {
		char *next = strchr(text, '&');

		if (next)
			*next++ = '\0';
		if (add_pair(pairs, text, err))
			return -1;
		text = next;
	}
	return 0;
}

/* ---- the proof ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static void hmac(const void *key, size_t key_len, const void *text, size_t len, unsigned char out[static HASH_LEN])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, text, len);
	crypto_auth_hmacsha256_final(&state, out);
}

/* All pairs but hash, sorted by name, "name=value" on a line each. */
static void compute_hash(struct pairs *pairs, const char *bot_token, unsigned char hash[static HASH_LEN])
{
	static const char application[] = "WebAppData";
	CLEANUP(text_release) struct text lines = { 0 };
	unsigned char secret[HASH_LEN];

	qsort(pairs->items, pairs->n, sizeof(pairs->items[0]), compare_names);
	for (size_t i = 0; i < pairs->n; i++)
		if (strcmp(pairs->items[i].name, "hash") != 0)
			text_printf(
				&lines, "%s%s=%s", lines.len ? "\n" : "", pairs->items[i].name, pairs->items[i].value);
	hmac(application, sizeof(application) - 1, bot_token, strlen(bot_token), secret);
	hmac(secret, sizeof(secret), text_str(&lines), lines.len, hash);
	sodium_memzero(secret, sizeof(secret));
}

static int check_hash(struct pairs *pairs, const char *bot_token, struct error *err)
{
	const char *given_text = find(pairs, "hash");
	unsigned char given[HASH_LEN], computed[HASH_LEN];
	size_t len;

	if (!given_text)
		return refuse_data(err, "it has no hash");
	if (sodium_hex2bin(given, sizeof(given), given_text, strlen(given_text), NULL, &len, NULL) ||
		len != sizeof(given))
		return refuse_data(err, "its hash is not 64 hexadecimal digits");
	compute_hash(pairs, bot_token, computed);
	if (sodium_memcmp(given, computed, sizeof(given)) != 0)
		return refuse_data(err, "its hash is another");
	return 0;
}

/* ---- what it says ---- */

static int check_age(const struct pairs *pairs, int64_t now_s, int64_t max_age_s, struct error *err)
{
	const char *text = find(pairs, "auth_date");
	int64_t at_s;

	if (!text || !*text || strlen(text) > 15 || strspn(text, "0123456789") != strlen(text))
		return refuse_data(err, "its auth_date is not in Unix seconds");
	at_s = strtoll(text, NULL, 10);
	if (at_s > now_s + CLOCK_SKEW_S)
		return refuse_data(err, "its auth_date is in the future");
	if (now_s - at_s > max_age_s)
		return refuse_data(err, "its auth_date is too old");
	return 0;
}

struct user {
	int64_t id;
};
static const struct field user_fields[] = {
	FIELD(struct user, id, .required = true, .min = 1, .max = INT_LIMIT),
};
static const struct schema user_schema = SCHEMA(struct user, user_fields, .name = "Telegram user");

static int read_user(const struct pairs *pairs, struct scratch *scratch, int64_t *user_id, struct error *err)
{
	const char *text = find(pairs, "user");
	const cJSON *json = text ? json_parse(text, strlen(text), scratch, NULL) : NULL;
	struct problems problems = { 0 };
	struct user user;

	if (!cJSON_IsObject(json) || schema_read(&user_schema, json, &user, scratch, &problems))
		return error_set(err, CODE_INVALID_PAYLOAD, "init_data names no user");
	*user_id = user.id;
	return 0;
}

int telegram_user(const char *init_data, const char *bot_token, int64_t now_s, int64_t max_age_s,
	struct scratch *scratch, int64_t *user_id, struct error *err)
{
	char *copy = scratch_strdup(scratch, init_data);
	struct pairs pairs = { 0 };

	if (split(copy, &pairs, err) || check_hash(&pairs, bot_token, err) ||
		check_age(&pairs, now_s, max_age_s, err) || read_user(&pairs, scratch, user_id, err))
		return -1;
	return 0;
}
