/* Against a real Redis (GARRISON_TEST_REDIS_URL), and against a small false one where a real one cannot be made to say it. */
/* link: tests/unit/fake_redis.c */
#include "check.h"
#include "clock.h"
#include "fake_redis.h"
#include "kv.h"
#include "kv_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SKIPPED 77

static const char *redis_url;
static char key[64]; /* of this process alone */

static struct kv *open_at(const char *url)
{
	struct error err = { 0 };
	struct kv *kv = kv_new(url, "test_kv", &err);
	if (!kv)
		BUG("%s", err.text);
	kv_set_deadline(kv, clock_ms() + 10000);
	return kv;
}

static void remove_key(struct kv *kv)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	CHECK_INT(kv_command(kv, &answers, &err, "DEL %s", key), 0);
}

static struct kv *open_kv(void)
{
	struct kv *kv = open_at(redis_url);
	remove_key(kv);
	return kv;
}

static int64_t ask_int(struct kv *kv, const char *command)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	if (kv_command(kv, &answers, &err, command)) {
		CHECK_STR(err.text, "");
		return -1;
	}
	return kv_integer(kv_at(&answers, 0), -1);
}

static void data_may_be_any_bytes(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	size_t len;
	kv_queue(kv, "  HSET %s a b:%lld:%d:%llu:%% %b %b f %f empty %s g %f ", key, -5LL, 7, UINT64_MAX, "\0 \r\n",
		(size_t)4, "%s\0", (size_t)3, 0.1, "", 1e300);
	kv_queue(kv, "HGETALL %s", key);
	if (!CHECK_INT(kv_sync(kv, &answers, &err), 0))
		return;
	CHECK_INT((int64_t)answers.n, 2);
	CHECK_INT(kv_integer(kv_at(&answers, 0), -1), 5);
	const struct kv_answer *hash = kv_at(&answers, 1);
	CHECK_INT((int64_t)kv_length(hash), 10);
	CHECK_STR(kv_string(kv_field(hash, "a"), NULL), "b:-5:7:18446744073709551615:%");
	CHECK(memcmp(kv_string(kv_item(hash, 2), &len), "\0 \r\n", 4) == 0 && len == 4);
	CHECK(memcmp(kv_string(kv_item(hash, 3), &len), "%s\0", 3) == 0 && len == 3);
	CHECK_STR(kv_string(kv_field(hash, "f"), NULL), "0.1");
	CHECK_STR(kv_string(kv_field(hash, "empty"), &len), "");
	CHECK_STR(kv_string(kv_field(hash, "g"), NULL), "1e+300");
	CHECK(!kv_field(hash, "0.1"));
}

static void answers_have_kinds(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	kv_queue(kv, "SET %s 42", key);
	kv_queue(kv, "GET %s", key);
	kv_queue(kv, "GET %s:none", key);
	kv_queue(kv, "LPUSH %s x", key);
	kv_queue(kv, "INCR %s", key);
	kv_queue(kv, "MGET %s %s:none", key, key);
	if (!CHECK_INT(kv_sync(kv, &answers, &err), 0))
		return;
	CHECK_INT(kv_kind(kv_at(&answers, 0)), KV_STATUS);
	CHECK_STR(kv_string(kv_at(&answers, 0), NULL), "OK");
	CHECK_INT(kv_kind(kv_at(&answers, 1)), KV_STRING);
	CHECK_INT(kv_integer(kv_at(&answers, 1), -1), 42);
	CHECK_INT(kv_kind(kv_at(&answers, 2)), KV_NIL);
	CHECK_STR(kv_string(kv_at(&answers, 2), NULL), NULL);
	CHECK_INT(kv_kind(kv_at(&answers, 3)), KV_ERROR);
	CHECK_HAS(kv_string(kv_at(&answers, 3), NULL), "WRONGTYPE");
	CHECK_INT(kv_kind(kv_at(&answers, 4)), KV_INTEGER);
	CHECK_INT(kv_integer(kv_at(&answers, 4), -1), 43);
	CHECK_INT(kv_kind(kv_at(&answers, 5)), KV_ARRAY);
	CHECK_INT(kv_kind(kv_item(kv_at(&answers, 5), 1)), KV_NIL);
	CHECK_INT(kv_check(&answers, &err), -1);
	CHECK_INT(err.code, CODE_INTERNAL);
	CHECK_HAS(err.text, "WRONGTYPE");
}

static void a_command_with_an_error_fails(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	CHECK_INT(kv_command(kv, &answers, &err, "SET %s text", key), 0);
	kv_answers_release(&answers);
	CHECK_INT(kv_command(kv, &answers, &err, "LPUSH %s x", key), -1);
	CHECK_INT(err.code, CODE_INTERNAL);
	CHECK_HAS(err.text, "WRONGTYPE");
	CHECK_INT((int64_t)answers.n, 0);
	CHECK(kv_ping(kv, &err));
}

static void an_error_inside_exec_is_found(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	kv_queue(kv, "MULTI");
	kv_queue(kv, "SET %s text", key);
	kv_queue(kv, "LPUSH %s x", key);
	kv_queue(kv, "EXEC");
	CHECK_INT(kv_sync(kv, &answers, &err), 0);
	CHECK_INT(kv_check(&answers, &err), -1);
	CHECK_HAS(err.text, "WRONGTYPE");
}

static const struct kv_script append = { .name = "append", .lua = "return redis.call('APPEND', KEYS[1], ARGV[1])" };
static const struct kv_script broken = { .name = "broken", .lua = "this is not Lua" };

static void queue_append(struct kv *kv, const char *bytes, size_t len)
{
	const char *const arguments[] = { key, bytes };
	const size_t lens[] = { strlen(key), len };
	kv_queue_script(kv, &append, 1, ARRAY_LEN(arguments), arguments, lens);
}

static void scripts_survive_a_flush(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	struct error err = { 0 };
	for (int round = 0; round < 3; round++) {
		CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
		kv_queue(kv, "SET %s x", key);
		queue_append(kv, "a\0", 2);
		if (round == 1)
			kv_queue(kv, "SCRIPT FLUSH");
		else
			kv_queue(kv, "ECHO between");
		queue_append(kv, "b", 1);
		queue_append(kv, "c", 1);
		kv_queue(kv, "ECHO last");
		if (!CHECK_INT(kv_sync(kv, &answers, &err), 0) || !CHECK_INT((int64_t)answers.n, 6))
			return;
		CHECK_INT(kv_integer(kv_at(&answers, 1), -1), 3);
		CHECK_INT(kv_integer(kv_at(&answers, 3), -1), 4);
		CHECK_INT(kv_integer(kv_at(&answers, 4), -1), 5);
		CHECK_STR(kv_string(kv_at(&answers, 5), NULL), "last");
	}
}

static void a_script_that_does_not_compile_fails(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	kv_queue_script(kv, &broken, 0, 0, NULL, NULL);
	CHECK_INT(kv_sync(kv, &answers, &err), -1);
	CHECK_INT(err.code, CODE_INTERNAL);
	CHECK_HAS(err.text, "broken");
	CHECK(kv_ping(kv, &err));
}

static void a_large_pipeline_flows_both_ways(void)
{
	enum { N = 40000, SIZE = 1000 };
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(release_memory) char *bytes = must_zalloc(SIZE);
	struct error err = { 0 };
	for (int i = 0; i < N; i++)
		kv_queue(kv, "ECHO %d:%b", i, bytes, (size_t)SIZE);
	if (!CHECK_INT(kv_sync(kv, &answers, &err), 0))
		return;
	for (int i = 0; i < N; i++) {
		size_t len;
		const char *echo = kv_string(kv_at(&answers, (size_t)i), &len);
		if (!CHECK_INT(strtol(echo, NULL, 10), i) || !CHECK(len > SIZE))
			return;
	}
}

static void a_server_that_waits_for_us_to_read(void)
{
	enum { N = 5000, SIZE = 4096, ANSWER = 16384 }; /* far more than sockets buffer, both ways */
	/* It reads at most SIZE bytes, answers those, and blocks until its answer is taken: at least one answer a command. */
	CLEANUP(text_release) struct text answer = { 0 };
	CLEANUP(release_memory) char *bytes = must_zalloc(ANSWER);
	text_printf(&answer, "$%d\r\n", ANSWER);
	for (int i = 0; i < ANSWER; i++)
		text_char(&answer, 'x');
	text_str_add(&answer, "\r\n");
	CLEANUP(fake_redis_stop) struct fake_redis *fake = fake_redis_start(text_str(&answer));
	CLEANUP(release_memory) char *url = fake_redis_url(fake, "redis://127.0.0.1:%s");
	struct error err = { 0 };
	CLEANUP(kv_drop) struct kv *kv = kv_new(url, NULL, &err);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	kv_set_deadline(kv, clock_ms() + 10000);
	for (int i = 0; i < N; i++)
		kv_queue(kv, "SET %s %b", key, bytes, (size_t)SIZE);
	if (CHECK_INT(kv_sync(kv, &answers, &err), 0))
		CHECK_INT((int64_t)answers.n, N);
}

static void a_stalled_server_swaps_no_answers(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_drop) struct kv *other = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	CHECK_INT(kv_command(kv, &answers, &err, "SET %s right", key), 0);
	kv_answers_release(&answers);
	CHECK_INT(kv_command(other, &answers, &err, "CLIENT PAUSE 600 ALL"), 0);
	kv_answers_release(&answers);
	int64_t start = clock_ms();
	kv_set_deadline(kv, start + 150);
	kv_queue(kv, "ECHO wrong");
	CHECK_INT(kv_sync(kv, &answers, &err), -1);
	CHECK_INT(err.code, CODE_TIMEOUT);
	CHECK(clock_ms() - start >= 150 && clock_ms() - start < 250);
	CHECK_INT(kv_command(kv, &answers, &err, "ECHO late"), -1);
	CHECK_INT(err.code, CODE_TIMEOUT);
	/* While it connects, silence is the server's own fault. */
	kv_set_deadline(kv, clock_ms() + 100);
	CHECK_INT(kv_command(kv, &answers, &err, "ECHO later"), -1);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_REDIS);
	kv_set_deadline(kv, clock_ms() + 5000);
	if (CHECK_INT(kv_command(kv, &answers, &err, "GET %s", key), 0))
		CHECK_STR(kv_string(kv_at(&answers, 0), NULL), "right");
}

static void what_was_never_synced_is_forgotten(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	kv_queue(kv, "SET %s left", key);
	kv_set_deadline(kv, clock_ms() + 5000);
	if (CHECK_INT(kv_command(kv, &answers, &err, "EXISTS %s", key), 0))
		CHECK_INT(kv_integer(kv_at(&answers, 0), -1), 0);
}

static int64_t client_id(struct kv *kv)
{
	return ask_int(kv, "CLIENT ID");
}

static void kill_client(struct kv *kv, int64_t id)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	if (CHECK_INT(kv_command(kv, &answers, &err, "CLIENT KILL ID %lld", (long long)id), 0))
		CHECK_INT(kv_integer(kv_at(&answers, 0), -1), 1);
}

static void an_idle_connection_that_died_is_not_noticed(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_drop) struct kv *other = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	queue_append(kv, "a", 1);
	CHECK_INT(kv_sync(kv, &answers, &err), 0);
	kv_answers_release(&answers);
	int64_t id = client_id(kv);
	kill_client(other, id);
	queue_append(kv, "b", 1);
	if (CHECK_INT(kv_sync(kv, &answers, &err), 0))
		CHECK_INT(kv_integer(kv_at(&answers, 0), -1), 2);
	CHECK(client_id(kv) != id);
}

static void *kill_blocked(void *id)
{
	CLEANUP(kv_drop) struct kv *kv = open_at(redis_url);
	int64_t deadline = clock_ms() + 5000;
	for (bool blocked = false; !blocked && clock_ms() < deadline;) {
		CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
		struct error err = { 0 };
		if (!CHECK_INT(kv_command(kv, &answers, &err, "CLIENT LIST ID %lld", *(long long *)id), 0))
			return NULL;
		blocked = strstr(kv_string(kv_at(&answers, 0), NULL), "cmd=blpop") != NULL;
	}
	kill_client(kv, *(int64_t *)id);
	return NULL;
}

static void a_connection_killed_at_work_is_unavailable(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_kv();
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err = { 0 };
	pthread_t thread;
	int64_t id = client_id(kv);
	if (!CHECK_INT(pthread_create(&thread, NULL, kill_blocked, &id), 0))
		return;
	CHECK_INT(kv_command(kv, &answers, &err, "BLPOP %s 0", key), -1);
	pthread_join(thread, NULL);
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_REDIS);
	CHECK(client_id(kv) != id);
}

static void nobody_listens(void)
{
	CLEANUP(kv_drop) struct kv *kv = open_at("redis://127.0.0.1:1");
	struct error err = { 0 };
	CHECK(!kv_ping(kv, &err));
	CHECK_INT(err.code, CODE_UNAVAILABLE);
	CHECK_INT(err.down, STORE_REDIS);
	CHECK_HAS(err.text, "refused");
}

/* One question, by a script or by a plain command, to a server that answers everything by these bytes. */
static int ask_fake(const char *answer, bool by_script, struct error *err)
{
	CLEANUP(fake_redis_stop) struct fake_redis *fake = fake_redis_start(answer);
	CLEANUP(release_memory) char *url = fake_redis_url(fake, "redis://127.0.0.1:%s");
	CLEANUP(kv_drop) struct kv *kv = kv_new(url, NULL, err);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	kv_set_deadline(kv, clock_ms() + 300);
	if (by_script)
		queue_append(kv, "b", 1);
	else
		kv_queue(kv, "SET a b");
	return kv_sync(kv, &answers, err);
}

static void servers_that_cannot_serve(void)
{
	static const struct {
		const char *answer;
		enum code code;
		enum store down;
	} cases[] = {
		{ "+OK\r\n", CODE_OK, STORE_NONE },
		{ "-ERR no such thing\r\n", CODE_OK, STORE_NONE },
		{ "-LOADING Redis is loading the dataset in memory\r\n", CODE_UNAVAILABLE, STORE_REDIS },
		{ "-READONLY You can't write against a read only replica.\r\n", CODE_UNAVAILABLE, STORE_REDIS },
		{ "-MASTERDOWN Link with MASTER is down\r\n", CODE_UNAVAILABLE, STORE_REDIS },
		{ "-OOM command not allowed when used memory > 'maxmemory'.\r\n", CODE_UNAVAILABLE, STORE_NONE },
		{ "-MISCONF Redis is configured to save RDB snapshots\r\n", CODE_UNAVAILABLE, STORE_NONE },
		{ "!this is no Redis\r\n", CODE_UNAVAILABLE, STORE_REDIS },
		{ "", CODE_TIMEOUT, STORE_NONE },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = { 0 };
		CHECK_INT(ask_fake(cases[i].answer, false, &err), cases[i].code ? -1 : 0);
		if (!CHECK_INT(err.code, cases[i].code) || !CHECK_INT(err.down, cases[i].down))
			fprintf(stderr, "\tto the answer %s", cases[i].answer);
		/* Scripts are loaded first: that answer is no less telling. */
		if (!cases[i].code)
			continue;
		CHECK_INT(ask_fake(cases[i].answer, true, &err), -1);
		if (!CHECK_INT(err.code, cases[i].code) || !CHECK_INT(err.down, cases[i].down))
			fprintf(stderr, "\tto the answer %s", cases[i].answer);
	}
}

static void sentinel_names_the_primary(void)
{
	CLEANUP(release_memory) char *url = NULL;
	CLEANUP(text_release) struct text answer = { 0 };
	struct kv_url real;
	struct error err = { 0 };
	if (!CHECK_INT(kv_url_parse(redis_url, &real, &err), 0))
		return;
	text_printf(&answer, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(real.hosts[0].name), real.hosts[0].name,
		strlen(real.hosts[0].port), real.hosts[0].port);
	CLEANUP(fake_redis_stop) struct fake_redis *silent = fake_redis_start("");
	CLEANUP(fake_redis_stop) struct fake_redis *ignorant = fake_redis_start("*-1\r\n");
	CLEANUP(fake_redis_stop) struct fake_redis *sentinel = fake_redis_start(text_str(&answer));
	CLEANUP(text_release) struct text text = { 0 };
	text_printf(&text, "redis+sentinel://%s%s%s%s127.0.0.1:1,127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s/mymaster/%d",
		real.user ? real.user : "", real.password ? ":" : "", real.password ? real.password : "",
		real.password ? "@" : "", fake_redis_port(silent), fake_redis_port(ignorant), fake_redis_port(sentinel),
		real.db);
	kv_url_release(&real);
	CLEANUP(kv_drop) struct kv *kv = open_at(text_str(&text));
	kv_set_deadline(kv, clock_ms() + 2000);
	if (!CHECK(kv_ping(kv, &err)))
		CHECK_STR(err.text, "");
	/* A primary that says it is none is refused: this false one answers ROLE by its own address. */
	CLEANUP(fake_redis_stop) struct fake_redis *replica = fake_redis_start("*1\r\n$5\r\nslave\r\n");
	CLEANUP(text_release) struct text wrong = { 0 };
	text_printf(&wrong, "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(fake_redis_port(replica)),
		fake_redis_port(replica));
	CLEANUP(fake_redis_stop) struct fake_redis *outdated = fake_redis_start(text_str(&wrong));
	url = fake_redis_url(outdated, "redis+sentinel://127.0.0.1:%s/mymaster");
	CLEANUP(kv_drop) struct kv *other = open_at(url);
	CHECK(!kv_ping(other, &err));
	CHECK_INT(err.down, STORE_REDIS);
	CHECK_HAS(err.text, "not the primary");
}

static const struct check_test tests[] = {
	CHECK_TEST(data_may_be_any_bytes),
	CHECK_TEST(answers_have_kinds),
	CHECK_TEST(a_command_with_an_error_fails),
	CHECK_TEST(an_error_inside_exec_is_found),
	CHECK_TEST(scripts_survive_a_flush),
	CHECK_TEST(a_script_that_does_not_compile_fails),
	CHECK_TEST(a_large_pipeline_flows_both_ways),
	CHECK_TEST(a_server_that_waits_for_us_to_read),
	CHECK_TEST(a_stalled_server_swaps_no_answers),
	CHECK_TEST(what_was_never_synced_is_forgotten),
	CHECK_TEST(an_idle_connection_that_died_is_not_noticed),
	CHECK_TEST(a_connection_killed_at_work_is_unavailable),
	CHECK_TEST(nobody_listens),
	CHECK_TEST(servers_that_cannot_serve),
	CHECK_TEST(sentinel_names_the_primary),
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return check_main(tests, ARRAY_LEN(tests), argc, argv);
	redis_url = getenv("GARRISON_TEST_REDIS_URL");
	if (!redis_url) {
		fprintf(stderr, "skipped: GARRISON_TEST_REDIS_URL is not set\n");
		return SKIPPED;
	}
	snprintf(key, sizeof(key), "test_kv:%d", (int)getpid());
	int code = check_main(tests, ARRAY_LEN(tests), argc, argv);
	CLEANUP(kv_drop) struct kv *kv = open_at(redis_url);
	remove_key(kv);
	return code;
}
