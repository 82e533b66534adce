/* link: services/auth/telegram.c services/auth/private_key.c */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "services/auth/private_key.h"
#include "services/auth/telegram.h"

/* The example in the documentation of Telegram Mini Apps (docs.telegram-mini-apps.com, "Init Data", "Validating"). */
static const char bot_token[] = "5768337691:AAH5YkoiEuPk8-FZa32hStHTqXiLPtAEhx8";
static const char documented[] =
	"query_id=AAHdF6IQAAAAAN0XohDhrOrc&user=%7B%22id%22%3A279058397%2C%22first_name%22%3A%22Vladislav%22%2C"
	"%22last_name%22%3A%22Kibenko%22%2C%22username%22%3A%22vdkfrost%22%2C%22language_code%22%3A%22ru%22%2C"
	"%22is_premium%22%3Atrue%7D&auth_date=1662771648&hash="
	"c501b71e775f74ce10e377dea85a7ea24ecd640b223ea86dfe453e0eaed2e2b2";
#define DOCUMENTED_AT 1662771648
#define HOUR_S 3600

static enum code check_at(const char *init_data, const char *token, int64_t now_s, int64_t *user_id)
{
	CLEANUP(scratch_release) struct scratch scratch;
	struct error err = { 0 };

	*user_id = 0;
	scratch_init(&scratch, 1 << 20);
	if (telegram_user(init_data, token, now_s, HOUR_S, &scratch, user_id, &err) == 0)
		return CODE_OK;
	CHECK(strstr(err.text, token) == NULL);
	return err.code;
}

static enum code check(const char *init_data)
{
	int64_t user_id;

	return check_at(init_data, bot_token, DOCUMENTED_AT, &user_id);
}

static void the_documented_example_is_genuine(void)
{
	int64_t user_id;

	CHECK_INT(check_at(documented, bot_token, DOCUMENTED_AT + 1, &user_id), CODE_OK);
	CHECK_INT(user_id, 279058397);
	CHECK_INT(check_at(documented, "5768337691:AAH5YkoiEuPk8-FZa32hStHTqXiLPtAEhx9", DOCUMENTED_AT, &user_id),
		CODE_UNAUTHORIZED);
}

static void its_age_has_two_bounds(void)
{
	static const struct {
		int64_t after_s;
		enum code code;
	} cases[] = {
		{ 0, CODE_OK },
		{ HOUR_S, CODE_OK },
		{ HOUR_S + 1, CODE_UNAUTHORIZED },
		{ 10 * HOUR_S, CODE_UNAUTHORIZED },
		{ -2, CODE_OK }, /* clocks differ */
		{ -3, CODE_UNAUTHORIZED },
		{ -HOUR_S, CODE_UNAUTHORIZED },
	};
	int64_t user_id;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!CHECK_INT(
			    check_at(documented, bot_token, DOCUMENTED_AT + cases[i].after_s, &user_id), cases[i].code))
			fprintf(stderr, "\tfor %lld s\n", (long long)cases[i].after_s);
}

/* Each character in turn: only in hexadecimal digits and escapes does the case not matter. */
static void an_altered_one_is_refused(void)
{
	CLEANUP(release_memory) char *altered = must_strdup(documented);

	for (size_t i = 0; altered[i]; i++) {
		char kept = altered[i];

		altered[i] = kept == 'X' ? 'Y' : 'X';
		if (!CHECK_INT(check(altered), CODE_UNAUTHORIZED))
			fprintf(stderr, "\tat %zu\n", i);
		altered[i] = kept;
	}
	for (size_t len = 0; len < sizeof(documented) - 1; len++) {
		altered[len] = '\0';
		CHECK_INT(check(altered), CODE_UNAUTHORIZED);
		altered[len] = documented[len];
	}
	CHECK_INT(check(altered), CODE_OK);
}

static void order_does_not_matter_but_additions_do(void)
{
	CLEANUP(text_release) struct text text = { 0 };
	const char *hash = strstr(documented, "hash=");

	text_printf(&text, "%s&%.*s", hash, (int)(hash - 1 - documented), documented);
	CHECK_INT(check(text_str(&text)), CODE_OK);
	text_str_add(&text, "&x=1");
	CHECK_INT(check(text_str(&text)), CODE_UNAUTHORIZED);
	text_reset(&text);
	/* Only hash is left out of what is hashed, a signature is not. */
	text_printf(&text, "%s&signature=abc", documented);
	CHECK_INT(check(text_str(&text)), CODE_UNAUTHORIZED);
	text_reset(&text);
	text_printf(&text, "%s&hash=%s", documented, hash + 5);
	CHECK_INT(check(text_str(&text)), CODE_UNAUTHORIZED);
	text_reset(&text);
	text_printf(&text, "%s&user=%%7B%%22id%%22%%3A1%%7D", documented);
	CHECK_INT(check(text_str(&text)), CODE_UNAUTHORIZED);
}

static void rubbish_is_refused(void)
{
	static const char *const cases[] = { "", "&", "=", "hash", "hash=", "hash=00", "a=%", "a=%4", "a=%zz",
		"a=%00&hash=1", "%00=1", "a=1&a=2", "hash=zz", "a&b&c", "&&&&", "auth_date=1662771648" };
	CLEANUP(text_release) struct text many = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!CHECK_INT(check(cases[i]), CODE_UNAUTHORIZED))
			fprintf(stderr, "\tfor \"%s\"\n", cases[i]);
	for (int i = 0; i < 1000; i++)
		text_printf(&many, "n%d=1&", i);
	text_str_add(&many, documented);
	CHECK_INT(check(text_str(&many)), CODE_UNAUTHORIZED);
}

/* ---- what is signed by the bot's token may still say nothing of use ---- */

static void hmac(const void *key, size_t key_len, const char *text, unsigned char out[static 32])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, strlen(text));
	crypto_auth_hmacsha256_final(&state, out);
}

/* lines as hashed, query as sent. */
static enum code check_signed(const char *lines, const char *query, int64_t *user_id)
{
	CLEANUP(text_release) struct text text = { 0 };
	unsigned char secret[32], hash[32];
	char hex[65];

	hmac("WebAppData", 10, bot_token, secret);
	hmac(secret, sizeof(secret), lines, hash);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	text_printf(&text, "%s&hash=%s", query, hex);
	return check_at(text_str(&text), bot_token, DOCUMENTED_AT, user_id);
}

static void genuine_data_must_name_a_user(void)
{
	static const struct {
		const char *user, *encoded;
		enum code code;
		int64_t user_id;
	} cases[] = {
		{ "{\"id\":7}", "%7B%22id%22%3A7%7D", CODE_OK, 7 },
		{ "{\"id\":7, \"n\":\"a b\"}", "{\"id\":7,+\"n\":\"a%20b\"}", CODE_OK, 7 },
		{ "{\"id\":9007199254740991}", "{\"id\":9007199254740991}", CODE_OK, 9007199254740991 },
		{ "{\"id\":0}", "{\"id\":0}", CODE_INVALID_PAYLOAD, 0 },
		{ "{\"id\":\"7\"}", "{\"id\":\"7\"}", CODE_INVALID_PAYLOAD, 0 },
		{ "{\"id\":7.5}", "{\"id\":7.5}", CODE_INVALID_PAYLOAD, 0 },
		{ "{\"id\":7,\"id\":8}", "{\"id\":7,\"id\":8}", CODE_INVALID_PAYLOAD, 0 },
		{ "{}", "{}", CODE_INVALID_PAYLOAD, 0 },
		{ "7", "7", CODE_INVALID_PAYLOAD, 0 },
		{ "", "", CODE_INVALID_PAYLOAD, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(text_release) struct text lines = { 0 }, query = { 0 };
		int64_t user_id;

		text_printf(&lines, "auth_date=1662771648\nuser=%s", cases[i].user);
		text_printf(&query, "user=%s&auth_date=1662771648", cases[i].encoded);
		if (!CHECK_INT(check_signed(text_str(&lines), text_str(&query), &user_id), cases[i].code) ||
			!CHECK_INT(user_id, cases[i].user_id))
			fprintf(stderr, "\tfor %s\n", cases[i].encoded);
	}
}

static void genuine_data_must_have_a_date(void)
{
	int64_t user_id;

	CHECK_INT(check_signed("user={\"id\":7}", "user={\"id\":7}", &user_id), CODE_UNAUTHORIZED);
	CHECK_INT(
		check_signed("auth_date=\nuser={\"id\":7}", "auth_date=&user={\"id\":7}", &user_id), CODE_UNAUTHORIZED);
	CHECK_INT(check_signed("auth_date=-1\nuser={\"id\":7}", "auth_date=-1&user={\"id\":7}", &user_id),
		CODE_UNAUTHORIZED);
	CHECK_INT(check_signed("auth_date=99999999999999999999\nuser={\"id\":7}",
			  "auth_date=99999999999999999999&user={\"id\":7}", &user_id),
		CODE_UNAUTHORIZED);
}

/* ---- JWT_PRIVATE_KEY ---- */

/* RFC 8410, section 10.3. */
static const char rfc_pem[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
			      "-----END PRIVATE KEY-----\n";
static const char rfc_seed[] = "1O5y2/kTWErVttjx92n4rTr+fCjL8dT74Jeoj0R1WEI=";

static void private_keys_are_read_in_each_form(void)
{
	static const char *const forms[] = { rfc_pem, rfc_seed, "1O5y2/kTWErVttjx92n4rTr+fCjL8dT74Jeoj0R1WEI",
		"1O5y2_kTWErVttjx92n4rTr-fCjL8dT74Jeoj0R1WEI",
		"1O5y2_kTWErVttjx92n4rTr-fCjL8dT74Jeoj0R1WEI=", " 1O5y2/kTWErVttjx92n4rTr+fCjL8dT74Jeoj0R1WEI=\r\n" };
	unsigned char seed[TOKEN_SEED_LEN];

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		memset(seed, 0, sizeof(seed));
		CHECK_INT(private_key_read(forms[i], seed), 0);
		CHECK_INT(seed[0], 0xd4);
		CHECK_INT(seed[31], 0x42);
	}
}

static void other_texts_are_no_private_key(void)
{
	static const char x25519_pem[] =
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
		"-----END PRIVATE KEY-----";
	static const char *const cases[] = { "", "x", "AAAA", "1O5y2/kTWErVttjx92n4rTr+fCjL8dT74Jeoj0R1WEI=AAAA",
		"-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY----------BEGIN PRIVATE KEY-----",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", x25519_pem };
	unsigned char seed[TOKEN_SEED_LEN] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!CHECK_INT(private_key_read(cases[i], seed), -1) || !CHECK_INT(seed[0], 0))
			fprintf(stderr, "\tfor \"%s\"\n", cases[i]);
}

static const struct check_test tests[] = {
	CHECK_TEST(the_documented_example_is_genuine),
	CHECK_TEST(its_age_has_two_bounds),
	CHECK_TEST(an_altered_one_is_refused),
	CHECK_TEST(order_does_not_matter_but_additions_do),
	CHECK_TEST(rubbish_is_refused),
	CHECK_TEST(genuine_data_must_name_a_user),
	CHECK_TEST(genuine_data_must_have_a_date),
	CHECK_TEST(private_keys_are_read_in_each_form),
	CHECK_TEST(other_texts_are_no_private_key),
};

int main(int argc, char **argv)
{
	return sodium_init() < 0 ? 1 : check_main(tests, ARRAY_LEN(tests), argc, argv);
}
