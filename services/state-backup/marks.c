#include "marks.h"

#include <stdio.h>
#include <string.h>

#define DIRTY "dirty_accounts"
#define WORKERS DIRTY ":workers"
#define ASIDE DIRTY ":aside"
#define CLEAN DIRTY ":clean"

void marks_init(struct marks *marks, struct kv *kv)
{
	const struct uuid random = uuid_random();
	marks->kv = kv;
	uuid_format(&random, marks->worker);
	snprintf(marks->processing, sizeof(marks->processing), DIRTY ":processing:%s", marks->worker);
	snprintf(marks->lease, sizeof(marks->lease), DIRTY ":lease:%s", marks->worker);
}

/* Runs a script whose arguments are all NUL-terminated; the answer is the only one and no error. */
static int run_script(struct kv *kv, const struct kv_script *script, size_t n_keys, const char *const *arguments,
	size_t n, struct kv_answers *answers, struct error *err)
{
	kv_queue_script(kv, script, n_keys, n, arguments, NULL);
	if (kv_sync(kv, answers, err))
		return -1;
	return kv_check(answers, err);
}

static char *number(int64_t value, char buffer[static 24])
{
	snprintf(buffer, 24, "%lld", (long long)value);
	return buffer;
}

/* Taking -----------------------------------------------------------------------------------------------------------*/

/*
 * KEYS: dirty_accounts, processing, lease, workers, aside. ARGV: worker, lease ms, max, 1 to fetch. The lease comes first: when Redis is
 * out of memory it is what fails, before any mark has left its set. A mark that was set aside and is made anew need not wait any longer.
 */
static const struct kv_script take_marks = {
	.name = "take_marks",
	.lua = "redis.call('SET', KEYS[3], 1, 'PX', ARGV[2])\n"
	       "redis.call('SADD', KEYS[4], ARGV[1])\n"
	       "local room = ARGV[3] - redis.call('SCARD', KEYS[2])\n"
	       "if ARGV[4] == '1' and room > 0 then\n"
	       "  local taken = redis.call('SPOP', KEYS[1], room)\n"
	       "  for first = 1, #taken, 5000 do\n"
	       "    redis.call('SADD', KEYS[2], unpack(taken, first, math.min(first + 4999, #taken)))\n"
	       "    redis.call('ZREM', KEYS[5], unpack(taken, first, math.min(first + 4999, #taken)))\n"
	       "  end\n"
	       "end\n"
	       "local time = redis.call('TIME')\n"
	       "return {1 - redis.call('EXISTS', KEYS[1]), time[1], time[2], redis.call('SRANDMEMBER', KEYS[2], "
	       "ARGV[3])}\n",
};

/* The id that a member is, in the one spelling that SADD of a number has; 0 for anything else. */
static int64_t member_id(const char *member, size_t len)
{
	if (!len || len > 18 || member[0] == '0')
		return 0;
	int64_t id = 0;
	for (size_t i = 0; i < len; i++) {
		if (member[i] < '0' || member[i] > '9')
			return 0;
		id = id * 10 + (member[i] - '0');
	}
	return id;
}

static void copy_members(const struct kv_answer *members, struct scratch *scratch, struct mark_batch *batch)
{
	batch->n = kv_length(members);
	batch->marks = scratch_array(scratch, batch->n + 1, sizeof(*batch->marks));
	for (size_t i = 0; i < batch->n; i++) {
		struct mark *mark = &batch->marks[i];
		const char *member = kv_string(kv_item(members, i), &mark->len);
		mark->member = scratch_memdup(scratch, member, mark->len);
		mark->char_id = member_id(member, mark->len);
	}
}

int marks_take(struct marks *marks, size_t max, bool fetch, struct scratch *scratch, struct mark_batch *batch,
	struct error *err)
{
	char lease_ms[24], max_text[24];
	const char *arguments[] = {
		DIRTY,
		marks->processing,
		marks->lease,
		WORKERS,
		ASIDE,
		marks->worker,
		number(MARKS_LEASE_MS, lease_ms),
		number((int64_t)max, max_text),
		fetch ? "1" : "0",
	};
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (run_script(marks->kv, &take_marks, 5, arguments, ARRAY_LEN(arguments), &answers, err))
		return -1;
	const struct kv_answer *answer = kv_at(&answers, 0);
	batch->emptied = kv_integer(kv_item(answer, 0), 0) == 1;
	batch->taken_ms = kv_integer(kv_item(answer, 1), 0) * 1000 + kv_integer(kv_item(answer, 2), 0) / 1000;
	copy_members(kv_item(answer, 3), scratch, batch);
	return 0;
}

/* Giving up marks ---------------------------------------------------------------------------------------------------*/

/* One command on a key with all the members behind it. */
static void queue_members(
	struct kv *kv, const char *command, const char *key, const struct mark *const *members, size_t n)
{
	CLEANUP(release_memory) const char **arguments = must_alloc((n + 2) * sizeof(*arguments));
	CLEANUP(release_memory) size_t *lens = must_alloc((n + 2) * sizeof(*lens));
	arguments[0] = command;
	lens[0] = strlen(command);
	arguments[1] = key;
	lens[1] = strlen(key);
	for (size_t i = 0; i < n; i++) {
		arguments[i + 2] = members[i]->member;
		lens[i + 2] = members[i]->len;
	}
	kv_queue_args(kv, n + 2, arguments, lens);
}

int marks_done(struct marks *marks, const struct mark *const *done, size_t n, struct error *err)
{
	if (!n)
		return 0;
	queue_members(marks->kv, "SREM", marks->processing, done, n);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(marks->kv, &answers, err))
		return -1;
	return kv_check(&answers, err);
}

/* KEYS: processing, aside. ARGV: delay ms, members… ZADD comes first: out of memory, a mark stays where it is. */
static const struct kv_script set_aside = {
	.name = "set_marks_aside",
	.lua = "local time = redis.call('TIME')\n"
	       "local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]\n"
	       "for i = 2, #ARGV do\n"
	       "  redis.call('ZADD', KEYS[2], due, ARGV[i])\n"
	       "  redis.call('SREM', KEYS[1], ARGV[i])\n"
	       "end\n"
	       "return #ARGV - 1\n",
};

int marks_set_aside(struct marks *marks, const struct mark *const *bad, size_t n, int64_t delay_ms, struct error *err)
{
	if (!n)
		return 0;
	char delay[24];
	CLEANUP(release_memory) const char **arguments = must_alloc((n + 3) * sizeof(*arguments));
	CLEANUP(release_memory) size_t *lens = must_alloc((n + 3) * sizeof(*lens));
	arguments[0] = marks->processing;
	arguments[1] = ASIDE;
	arguments[2] = number(delay_ms, delay);
	for (size_t i = 0; i < 3; i++)
		lens[i] = strlen(arguments[i]);
	for (size_t i = 0; i < n; i++) {
		arguments[i + 3] = bad[i]->member;
		lens[i + 3] = bad[i]->len;
	}
	kv_queue_script(marks->kv, &set_aside, 2, n + 3, arguments, lens);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(marks->kv, &answers, err))
		return -1;
	return kv_check(&answers, err);
}

/* KEYS: workers, clean. ARGV: prefix of processing sets, ms. */
static const struct kv_script tell_clean = {
	.name = "tell_marks_clean",
	.lua = "for _, worker in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
	       "  if redis.call('EXISTS', ARGV[1] .. worker) == 1 then return 0 end\n"
	       "end\n"
	       "if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[2]) then redis.call('SET', KEYS[2], "
	       "ARGV[2]) end\n"
	       "return 1\n",
};

int marks_clean(struct marks *marks, int64_t taken_ms, struct error *err)
{
	char taken[24];
	const char *arguments[] = { WORKERS, CLEAN, DIRTY ":processing:", number(taken_ms, taken) };
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	return run_script(marks->kv, &tell_clean, 2, arguments, ARRAY_LEN(arguments), &answers, err);
}

/* Watching ----------------------------------------------------------------------------------------------------------*/

/*
 * KEYS: dirty_accounts, own processing, own lease, workers, aside, clean. ARGV: own name, lease ms, prefix of processing sets, prefix
 * of leases. The first write is also what fails when Redis is out of memory.
 */
static const struct kv_script watch_marks = {
	.name = "watch_marks",
	.lua = "redis.call('SET', KEYS[3], 1, 'PX', ARGV[2])\n"
	       "local time = redis.call('TIME')\n"
	       "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
	       "local adopted, waiting = 0, 0\n"
	       "for _, worker in ipairs(redis.call('SMEMBERS', KEYS[4])) do\n"
	       "  local held = ARGV[3] .. worker\n"
	       "  if redis.call('EXISTS', ARGV[4] .. worker) == 0 then\n"
	       "    adopted = adopted + redis.call('SCARD', held)\n"
	       "    redis.call('SADD', KEYS[4], ARGV[1])\n"
	       "    redis.call('SUNIONSTORE', KEYS[2], KEYS[2], held)\n"
	       "    redis.call('DEL', held)\n"
	       "    redis.call('SREM', KEYS[4], worker)\n"
	       "  elseif worker ~= ARGV[1] then\n"
	       "    waiting = waiting + redis.call('SCARD', held)\n"
	       "  end\n"
	       "end\n"
	       "for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 1000)) do\n"
	       "  redis.call('SADD', KEYS[4], ARGV[1])\n"
	       "  redis.call('SADD', KEYS[2], member)\n"
	       "  redis.call('ZREM', KEYS[5], member)\n"
	       "  adopted = adopted + 1\n"
	       "end\n"
	       "waiting = waiting + redis.call('SCARD', KEYS[1]) + redis.call('SCARD', KEYS[2])\n"
	       "local clean = redis.call('GET', KEYS[6])\n"
	       "if waiting == 0 or not clean then\n"
	       "  clean = string.format('%.0f', now)\n"
	       "  redis.call('SET', KEYS[6], clean)\n"
	       "end\n"
	       "return {waiting, redis.call('ZCARD', KEYS[5]), adopted, now - clean}\n",
};

int marks_watch(struct marks *marks, struct marks_state *state, struct error *err)
{
	char lease_ms[24];
	const char *arguments[] = {
		DIRTY,
		marks->processing,
		marks->lease,
		WORKERS,
		ASIDE,
		CLEAN,
		marks->worker,
		number(MARKS_LEASE_MS, lease_ms),
		DIRTY ":processing:",
		DIRTY ":lease:",
	};
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (run_script(marks->kv, &watch_marks, 6, arguments, ARRAY_LEN(arguments), &answers, err))
		return -1;
	const struct kv_answer *answer = kv_at(&answers, 0);
	state->waiting = kv_integer(kv_item(answer, 0), 0);
	state->set_aside = kv_integer(kv_item(answer, 1), 0);
	state->adopted = kv_integer(kv_item(answer, 2), 0);
	state->oldest_age_ms = kv_integer(kv_item(answer, 3), 0);
	if (state->oldest_age_ms < 0)
		state->oldest_age_ms = 0; /* Redis's clock was set back */
	return 0;
}
