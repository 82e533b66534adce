#include "attempts.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "auth_settings.h"
#include "clock.h"
#include "password.h"

#define SUBJECTS_MAX 2
#define KEYS_EACH 3
#define DIGEST_LEN 16
#define KEY_MAX 64
#define LONGEST_ATTEMPT_MS 30000 /* past any deadline: whoever began it is gone */
#define REDIS_LIMIT_MS 1000
#define ASK_AGAIN_MS 10

extern const char attempts_lua[];
static const struct kv_script script = { .name = "attempts", .lua = attempts_lua };

struct attempt {
	char id[UUID_TEXT_MAX];
	size_t n; /* subjects */
	char keys[SUBJECTS_MAX * KEYS_EACH][KEY_MAX];
	int64_t limits[SUBJECTS_MAX];
};

/* Logins and addresses are of any length and form; their digests are not. */
static void add_subject(struct attempt *attempt, int64_t limit, const char *kind, const char *login, const char *client)
{
	static const char *const words[KEYS_EACH] = { "failed", "trying", "blocked" };
	unsigned char digest[DIGEST_LEN];
	char hex[DIGEST_LEN * 2 + 1];
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	crypto_generichash_update(&state, (const unsigned char *)login, strlen(login) + 1);
	crypto_generichash_update(&state, (const unsigned char *)client, strlen(client));
	crypto_generichash_final(&state, digest, sizeof(digest));
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	for (size_t i = 0; i < KEYS_EACH; i++)
		snprintf(attempt->keys[attempt->n * KEYS_EACH + i], KEY_MAX, "auth:%s:%s:%s", words[i], kind, hex);
	attempt->limits[attempt->n++] = limit;
}

/* A sender without an address (another service) is no address: its logins are limited one by one. */
static struct attempt attempt_of(const struct call *call, const char *login)
{
	const char *client = call->message->client;
	struct uuid id = uuid_random();
	struct attempt attempt = { 0 };

	uuid_format(&id, attempt.id);
	add_subject(&attempt, auth_settings.login_failures_max, "login", login, client ? client : "");
	if (client)
		add_subject(&attempt, auth_settings.address_failures_max, "address", "", client);
	return attempt;
}

static int ask(struct call *call, const struct attempt *attempt, const char *verb, int64_t number, int64_t *answer,
	struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	const char *arguments[SUBJECTS_MAX * KEYS_EACH + 4 + SUBJECTS_MAX];
	char numbers[2 + SUBJECTS_MAX][24];
	size_t n_keys = attempt->n * KEYS_EACH, n = 0;
	int64_t limit_ms = clock_ms() + REDIS_LIMIT_MS;
	struct error why;

	snprintf(numbers[0], sizeof(numbers[0]), "%" PRId64, auth_settings.failures_window_ms);
	snprintf(numbers[1], sizeof(numbers[1]), "%" PRId64, number);
	for (; n < n_keys; n++)
		arguments[n] = attempt->keys[n];
	arguments[n++] = verb;
	arguments[n++] = attempt->id;
	arguments[n++] = numbers[0];
	arguments[n++] = numbers[1];
	for (size_t i = 0; i < attempt->n; i++) {
		snprintf(numbers[2 + i], sizeof(numbers[2 + i]), "%" PRId64, attempt->limits[i]);
		arguments[n++] = numbers[2 + i];
	}
	kv_set_deadline(call->kv, limit_ms < call->deadline_ms ? limit_ms : call->deadline_ms);
	kv_queue_script(call->kv, &script, n_keys, n, arguments, NULL);
	/* Tokens are checked and refreshed without Redis: its loss, told as such, would stop this worker. */
	if (kv_sync(call->kv, &answers, &why) || kv_check(&answers, &why))
		return error_set(err, CODE_UNAVAILABLE, "attempts cannot be counted: %s", why.text);
	*answer = kv_integer(kv_at(&answers, 0), 0);
	return 0;
}

static int begin(struct call *call, const struct attempt *attempt, struct error *err)
{
	int64_t answer = 0;

	for (;;) {
		if (ask(call, attempt, "begin", LONGEST_ATTEMPT_MS, &answer, err))
			return -1;
		if (answer == 0)
			return 0;
		if (answer > 0)
			return error_set(err, CODE_RATE_LIMITED, "too many failures; try again in %" PRId64 " s",
				(answer + 999) / 1000);
		if (clock_ms() + ASK_AGAIN_MS >= call->deadline_ms)
			return error_set(err, CODE_RATE_LIMITED, "too many attempts at once; try again");
		clock_sleep_ms(ASK_AGAIN_MS);
	}
}

int attempt_password(
	struct call *call, const char *login, const char *password, const char *hash, bool *right, struct error *err)
{
	struct attempt attempt = attempt_of(call, login);
	int64_t answer;
	struct error uncounted;

	if (begin(call, &attempt, err))
		return -1;
	if (password_check(password, hash, call->deadline_ms, right, err)) {
		ask(call, &attempt, "end", false, &answer, &uncounted);
		return -1;
	}
	/* Not to be told apart from a wrong password that was counted: the one that was right needs no count. */
	if (ask(call, &attempt, "end", !*right, &answer, &uncounted) && !*right) {
		*err = uncounted;
		return -1;
	}
	return 0;
}
