#include "services/tick/queue.h"

#include <errno.h>
#include <inttypes.h>

#include "log.h"
#include "services/tick/category.h"

#define CURSOR_KEY "tick:cursor"
#define SWEEP_KEY "tick:sweep"
#define ENTRY_MAX 64
/* Times that PostgreSQL knows and whose differences do not overflow: 2,600 BC to 75,000 AD. */
#define TIME_MIN_US (-(INT64_C(1) << 57))
#define TIME_MAX_US (INT64_C(1) << 61)

/*
 * KEYS: cursor, then the queues. ARGV: "R" to go behind and move the cursor or "L" to go before, the cursor as it should be, the
 * new cursor, how many entries for each queue, the entries. LLEN goes first because a key of another type must be found out before
 * anything has been written. Lua's stack takes some thousand arguments at once.
 */
static const struct kv_script push_script = {
	.name = "tick_push",
	.lua = "local behind = ARGV[1] == 'R'\n"
	       "for q = 2, #KEYS do redis.call('LLEN', KEYS[q]) end\n"
	       "if behind and (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then return 0 end\n"
	       "local at = 3 + #KEYS\n"
	       "for q = 2, #KEYS do\n"
	       "  local last = at + tonumber(ARGV[2 + q]) - 1\n"
	       "  for first = at, last, 1000 do\n"
	       "    redis.call(ARGV[1] .. 'PUSH', KEYS[q], unpack(ARGV, first, math.min(first + 999, last)))\n"
	       "  end\n"
	       "  at = last + 1\n"
	       "end\n"
	       "if behind then redis.call('SET', KEYS[1], ARGV[3]) end\n"
	       "return 1\n",
};

/* KEYS: the queues in the order to be tried. ARGV: how many at most. */
static const struct kv_script take_script = {
	.name = "tick_take",
	.lua = "for q = 1, #KEYS do\n"
	       "  local entries = redis.call('LPOP', KEYS[q], ARGV[1])\n"
	       "  if entries then return { q, entries } end\n"
	       "end\n"
	       "return false\n",
};

/* Reads n whole numbers parted by colons, and nothing else. */
static bool read_numbers(const char *text, int64_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *end;

		errno = 0;
		out[i] = strtoll(text, &end, 10);
		if (errno || end == text || *end != (i + 1 < n ? ':' : '\0'))
			return false;
		text = end + 1;
	}
	return true;
}

static bool is_time(int64_t us)
{
	return us >= TIME_MIN_US && us <= TIME_MAX_US;
}

static bool read_entry(const struct kv_answer *answer, int category, struct due *due)
{
	const char *text = kv_string(answer, NULL);
	int64_t numbers[3];

	if (!text || !read_numbers(text, numbers, ARRAY_LEN(numbers)))
		return false;
	if (!is_time(numbers[1]) || !is_time(numbers[2]))
		return false;
	*due = (struct due){
		.player_id = numbers[0],
		.due_us = numbers[1],
		.started_us = numbers[2],
		.category = category,
	};
	return true;
}

/* False for what no scheduler can have written. */
static bool read_cursor(const struct kv_answer *answer, struct queue_state *state)
{
	const char *text = kv_string(answer, NULL);
	int64_t numbers[2];

	if (kv_kind(answer) == KV_NIL)
		return true;
	if (!text || strlen(text) >= sizeof(state->cursor) || !read_numbers(text, numbers, ARRAY_LEN(numbers)) ||
		!is_time(numbers[0]))
		return false;
	snprintf(state->cursor, sizeof(state->cursor), "%s", text);
	state->cursor_us = numbers[0];
	state->cursor_id = numbers[1];
	return true;
}

int queue_forget_cursor(struct kv *kv, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	return kv_command(kv, &answers, err, "DEL %s", CURSOR_KEY);
}

/*
 * A key of ours that another program has made into something else would keep every category from its ticks. Nothing in it can be ours,
 * and what should be is found again in auto_sessions.
 */
static void queue_removal(struct kv *kv, const struct kv_answer *answer, const char *key)
{
	static const char wrong_type[] = "WRONGTYPE";
	const char *text = kv_string(answer, NULL);

	if (kv_kind(answer) != KV_ERROR || strncmp(text, wrong_type, sizeof(wrong_type) - 1) != 0)
		return;
	log_line(LOG_WARN, "tick_key", "%s is removed: %s", key, text);
	kv_queue(kv, "DEL %s", key);
}

static int remove_strangers(struct kv *kv, const struct kv_answers *looked, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (!kv_check(looked, err))
		return 0;
	queue_removal(kv, kv_at(looked, 0), CURSOR_KEY);
	for (int i = 0; i < CATEGORY_COUNT; i++)
		queue_removal(kv, kv_at(looked, 2 + 2 * (size_t)i), categories[i].queue);
	if (!kv_sync(kv, &answers, err))
		kv_check(looked, err);
	return -1;
}

int queue_begin_cursor(struct kv *kv, int64_t us, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	return kv_command(kv, &answers, err, "SET %s %lld:0 NX", CURSOR_KEY, (long long)us);
}

int queue_look(struct kv *kv, int64_t sweep_pause_ms, int64_t interval_ms, struct queue_state *state, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct due head;
	size_t at = 0;
	bool readable;

	kv_queue(kv, "GET %s", CURSOR_KEY);
	kv_queue(kv, "SET %s %lld NX PX %lld", SWEEP_KEY, (long long)interval_ms, (long long)sweep_pause_ms);
	for (int i = 0; i < CATEGORY_COUNT; i++) {
		kv_queue(kv, "LLEN %s", categories[i].queue);
		kv_queue(kv, "LINDEX %s 0", categories[i].queue);
	}
	if (kv_sync(kv, &answers, err) || remove_strangers(kv, &answers, err))
		return -1;
	*state = (struct queue_state){ .oldest_due_us = QUEUE_NEVER_US };
	readable = read_cursor(kv_at(&answers, at++), state);
	state->sweep = kv_kind(kv_at(&answers, at++)) == KV_STATUS;
	for (int i = 0; i < CATEGORY_COUNT; i++) {
		state->length += kv_integer(kv_at(&answers, at++), 0);
		if (read_entry(kv_at(&answers, at++), i, &head) && head.due_us < state->oldest_due_us)
			state->oldest_due_us = head.due_us;
	}
	return readable ? 0 : queue_forget_cursor(kv, err);
}

/* A script call under construction: all its arguments lie in one piece of memory. */
struct push {
	const char **arguments;
	size_t n;
	char *room;
};

static void push_release(struct push *push)
{
	free(push->arguments);
	free(push->room);
}

static void push_number(struct push *push, int64_t number)
{
	char *text = push->room + push->n * ENTRY_MAX;

	snprintf(text, ENTRY_MAX, "%" PRId64, number);
	push->arguments[push->n++] = text;
}

static void push_entry(struct push *push, const struct due *due)
{
	char *text = push->room + push->n * ENTRY_MAX;

	snprintf(text, ENTRY_MAX, "%" PRId64 ":%" PRId64 ":%" PRId64, due->player_id, due->due_us, due->started_us);
	push->arguments[push->n++] = text;
}

static int push_dues(struct kv *kv, const char *side, const char *old_cursor, const char *new_cursor,
	const struct due *dues, size_t n, struct error *err)
{
	const size_t n_keys = 1 + CATEGORY_COUNT, most = n_keys + 3 + CATEGORY_COUNT + n;
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(push_release)
	struct push push = {
		.arguments = must_alloc(most * sizeof(*push.arguments)),
		.room = must_alloc(most * ENTRY_MAX),
	};
	int64_t counts[CATEGORY_COUNT] = { 0 };
	bool behind = *side == 'R';

	for (size_t i = 0; i < n; i++)
		counts[dues[i].category]++;
	push.arguments[push.n++] = CURSOR_KEY;
	for (int i = 0; i < CATEGORY_COUNT; i++)
		push.arguments[push.n++] = categories[i].queue;
	push.arguments[push.n++] = side;
	push.arguments[push.n++] = old_cursor;
	push.arguments[push.n++] = new_cursor;
	for (int i = 0; i < CATEGORY_COUNT; i++)
		push_number(&push, counts[i]);
	/* LPUSH puts each before the last, so the first of them is given last. */
	for (int category = 0; category < CATEGORY_COUNT; category++)
		for (size_t i = 0; i < n; i++) {
			const struct due *due = &dues[behind ? i : n - 1 - i];

			if (due->category == category)
				push_entry(&push, due);
		}
	kv_queue_script(kv, &push_script, n_keys, push.n, push.arguments, NULL);
	return kv_sync(kv, &answers, err) || kv_check(&answers, err) ? -1 : 0;
}

int queue_push(struct kv *kv, const struct queue_state *state, const struct due *dues, size_t n, struct error *err)
{
	char cursor[QUEUE_CURSOR_MAX];

	snprintf(cursor, sizeof(cursor), "%" PRId64 ":%" PRId64, dues[n - 1].due_us, dues[n - 1].player_id);
	return push_dues(kv, "R", state->cursor, cursor, dues, n, err);
}

int queue_push_lost(struct kv *kv, const struct due *dues, size_t n, struct error *err)
{
	return push_dues(kv, "L", "", "", dues, n, err);
}

int queue_take(struct kv *kv, int first_category, size_t max, struct due *dues, size_t *n, size_t *unreadable,
	struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	const char *arguments[CATEGORY_COUNT + 1];
	char count[24];
	const struct kv_answer *entries;
	int category;

	for (int i = 0; i < CATEGORY_COUNT; i++)
		arguments[i] = categories[(first_category + i) % CATEGORY_COUNT].queue;
	snprintf(count, sizeof(count), "%zu", max);
	arguments[CATEGORY_COUNT] = count;
	kv_queue_script(kv, &take_script, CATEGORY_COUNT, ARRAY_LEN(arguments), arguments, NULL);
	if (kv_sync(kv, &answers, err) || kv_check(&answers, err))
		return -1;
	*n = 0;
	*unreadable = 0;
	if (kv_kind(kv_at(&answers, 0)) != KV_ARRAY)
		return 0;
	category = (first_category + (int)kv_integer(kv_item(kv_at(&answers, 0), 0), 1) - 1) % CATEGORY_COUNT;
	entries = kv_item(kv_at(&answers, 0), 1);
	for (size_t i = 0; i < kv_length(entries); i++) {
		if (read_entry(kv_item(entries, i), category, &dues[*n]))
			++*n;
		else
			++*unreadable;
	}
	return 0;
}
