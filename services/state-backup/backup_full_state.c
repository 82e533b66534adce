#include "backup_full_state.h"

#include <stdlib.h>
#include <string.h>

#include "backup.h"
#include "characters.h"
#include "clock.h"
#include "counts.h"
#include "session_map.h"

struct request {
	int64_t char_id;
};
static const struct field request_fields[] = {
	FIELD(struct request, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
};
const struct schema backup_full_state_request = SCHEMA(
	struct request, request_fields, .name = "backup_full_state request");

struct result {
	bool saved;
	struct map sessions;
};
static const struct field result_fields[] = {
	FIELD(struct result, saved, .required = true, .help = "false where there is no cache to save"),
	FIELD(struct result, sessions, .required = true, .of = &session_entry_schema,
		.help = "the sessions saved, by kind (combat, inventory, scenario)"),
};
const struct schema backup_full_state_result = SCHEMA(struct result, result_fields, .name = "backup_full_state result");

static int compare_calls(const void *a, const void *b)
{
	const struct request *x = call_args(*(struct call *const *)a), *y = call_args(*(struct call *const *)b);
	return (x->char_id > y->char_id) - (x->char_id < y->char_id);
}

static enum outcome reply_saved(struct call *call, const struct backup *item)
{
	const char *ids[SESSION_KINDS_MAX] = { NULL };
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		char text[UUID_TEXT_MAX];
		if (!uuid_is_nil(&item->sessions[kind]))
			ids[kind] = scratch_strdup(&call->scratch, uuid_format(&item->sessions[kind], text));
	}
	const struct result result = { .saved = item->outcome == SAVED, .sessions = session_map(ids, &call->scratch) };
	return reply_ok(call, &result);
}

static void finish(struct call *call, const struct backup *item, const struct error *failure)
{
	struct error locked;
	switch (item->outcome) {
	case SAVED:
		metric_add(&counts[COUNT_SAVED], 1);
		reply_saved(call, item);
		return;
	case SAVED_NOTHING:
		reply_saved(call, item);
		return;
	case SAVED_UNKNOWN:
		refuse(call, CODE_NOT_FOUND, "there is no character %lld", (long long)item->char_id);
		return;
	case SAVED_UNREADABLE:
		metric_add(&counts[COUNT_UNREADABLE], 1);
		refuse(call, CODE_CONFLICT, "ac:%lld cannot be saved: %s", (long long)item->char_id, item->problem);
		return;
	case SAVED_LOCKED:
		error_set(&locked, CODE_TIMEOUT, "the row of character %lld was locked for too long",
			(long long)item->char_id);
		retry(call, failure ? failure : &locked);
		return;
	}
}

/* Copies those not saved yet, for want of their rows' locks, into left; returns how many. */
static size_t collect_locked(const struct backup *items, size_t n, struct backup *left)
{
	size_t n_left = 0;
	for (size_t i = 0; i < n; i++)
		if (items[i].outcome == SAVED_LOCKED)
			left[n_left++] = items[i];
	return n_left;
}

/* Saves all, and comes back for a while to those whose rows others hold. */
static int save_all(struct batch *batch, struct backup *items, size_t n, struct scratch *scratch, struct error *err)
{
	const int64_t until_ms = clock_ms() + LOCKED_FOR_MS;
	struct backup *left = scratch_array(scratch, n, sizeof(*left));
	size_t n_left = collect_locked(items, n, left);
	for (;;) {
		if (backup_characters(batch->pg, batch->kv, left, n_left, scratch, err))
			return -1;
		for (size_t i = 0, k = 0; i < n; i++)
			if (items[i].outcome == SAVED_LOCKED)
				items[i] = left[k++];
		n_left = collect_locked(items, n, left);
		if (!n_left || clock_ms() >= until_ms)
			return 0;
		clock_sleep_ms(LOCKED_POLL_MS);
	}
}

/* A redelivery saves the cache as it is by then, which is newer still. */
void backup_full_state(struct batch *batch)
{
	CLEANUP(scratch_release) struct scratch scratch;
	scratch_init(&scratch, (size_t)256 << 20);
	struct call **calls = scratch_array(&scratch, batch->n, sizeof(struct call *));
	memcpy(calls, batch->calls, batch->n * sizeof(struct call *));
	qsort(calls, batch->n, sizeof(struct call *), compare_calls);
	struct backup *items = scratch_array(&scratch, batch->n, sizeof(*items));
	size_t n = 0;
	for (size_t i = 0; i < batch->n; i++) {
		const struct request *in = call_args(calls[i]);
		if (!n || items[n - 1].char_id != in->char_id)
			items[n++] = (struct backup){ .char_id = in->char_id, .outcome = SAVED_LOCKED };
	}
	struct error err;
	const int failed = save_all(batch, items, n, &scratch, &err);
	size_t item = 0;
	for (size_t i = 0; i < batch->n; i++) {
		const struct request *in = call_args(calls[i]);
		while (items[item].char_id != in->char_id)
			item++;
		finish(calls[i], &items[item], failed ? &err : NULL);
	}
}
