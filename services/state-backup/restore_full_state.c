#include "restore_full_state.h"

#include <stdlib.h>
#include <string.h>

#include "restore.h"
#include "restored_event.h"
#include "session_map.h"

struct request {
	int64_t char_id;
	bool force;
};
static const struct field request_fields[] = {
	FIELD(struct request, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
	FIELD(struct request, force, .help = "also replace a live cache"),
};
const struct schema restore_full_state_request = SCHEMA(
	struct request, request_fields, .name = "restore_full_state request");

struct result {
	bool restored;
	const char *state;
	struct map sessions;
};
static const struct field result_fields[] = {
	FIELD(struct result, restored, .required = true, .help = "false where the cache was live already"),
	FIELD(struct result, state, .required = true, .help = "the character's state now"),
	FIELD(struct result, sessions, .required = true, .of = &session_entry_schema,
		.help = "the sessions he is in now, by kind (combat, inventory, scenario)"),
};
const struct schema restore_full_state_result = SCHEMA(
	struct result, result_fields, .name = "restore_full_state result");

static int compare_calls(const void *a, const void *b)
{
	const struct request *x = call_args(*(struct call *const *)a), *y = call_args(*(struct call *const *)b);
	return (x->char_id > y->char_id) - (x->char_id < y->char_id);
}

static void reply_restored(struct call *call, const struct restore *item)
{
	const struct result result = {
		.restored = item->outcome == RESTORED,
		.state = item->state,
		.sessions = session_map(item->sessions, &call->scratch),
	};
	if (result.restored)
		publish_restored(call, item);
	reply_ok(call, &result);
}

static void finish(struct call *call, const struct restore *item, const struct error *failure)
{
	struct error locked;
	switch (item->outcome) {
	case RESTORED:
	case RESTORE_LIVE:
		reply_restored(call, item);
		return;
	case RESTORE_UNKNOWN:
		refuse(call, CODE_NOT_FOUND, "there is no character %lld", (long long)item->char_id);
		return;
	case RESTORE_UNREADABLE:
		refuse(call, CODE_CONFLICT, "ac:%lld cannot be restored without force: %s", (long long)item->char_id,
			item->problem);
		return;
	case RESTORE_PENDING:
	case RESTORE_LOCKED:
		error_set(&locked, CODE_TIMEOUT, "the row of character %lld was locked for too long",
			(long long)item->char_id);
		retry(call, failure ? failure : &locked);
		return;
	}
}

/* One call for each character among the sorted n, which go to the front; returns how many. */
static size_t one_for_each(struct call **calls, size_t n)
{
	size_t distinct = 0;
	for (size_t i = 0; i < n; i++) {
		const struct request *in = call_args(calls[i]);
		const struct request *last = distinct ? call_args(calls[distinct - 1]) : NULL;
		if (last && last->char_id == in->char_id)
			continue;
		struct call *const first = calls[i];
		calls[i] = calls[distinct];
		calls[distinct++] = first;
	}
	return distinct;
}

static void restore_some(struct batch *batch, struct call **calls, size_t n)
{
	CLEANUP(scratch_release) struct scratch scratch;
	scratch_init(&scratch, (size_t)256 << 20);
	struct restore *items = scratch_array(&scratch, n, sizeof(*items));
	for (size_t i = 0; i < n; i++) {
		const struct request *in = call_args(calls[i]);
		items[i] = (struct restore){
			.char_id = in->char_id, .force = in->force, .repeat_id = repeat_id_of(calls[i])
		};
	}
	struct error err;
	const int failed = restore_characters(batch->pg, batch->kv, items, n, &scratch, &err);
	for (size_t i = 0; i < n; i++)
		finish(calls[i], &items[i], failed ? &err : NULL);
}

/*
 * A redelivery finds the cache live and leaves it, also with force; it answers and announces what the first delivery did, for that one
 * left its message id beside the cache in the same script.
 */
void restore_full_state(struct batch *batch)
{
	CLEANUP(release_memory) struct call **sorted = must_alloc(batch->n * sizeof(struct call *));
	memcpy(sorted, batch->calls, batch->n * sizeof(struct call *));
	struct call **calls = sorted;
	size_t left = batch->n;
	while (left) {
		qsort(calls, left, sizeof(struct call *), compare_calls);
		const size_t n = one_for_each(calls, left);
		restore_some(batch, calls, n);
		calls += n;
		left -= n;
	}
}
