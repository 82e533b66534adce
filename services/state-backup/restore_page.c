#include "restore_page.h"

#include <stdlib.h>

#include "restore.h"
#include "restored_event.h"

#define PAGE_MAX 1000

struct listed {
	int64_t char_id;
};
static const struct field listed_fields[] = {
	FIELD(struct listed, char_id, .as = "", .required = true, .min = 1, .max = INT_LIMIT),
};
static const struct schema listed_schema = SCHEMA(struct listed, listed_fields, .name = "character id");

struct request {
	struct list char_ids;
};
static const struct field request_fields[] = {
	FIELD(struct request, char_ids, .required = true, .of = &listed_schema, .min = 1, .max = PAGE_MAX,
		.help = "the characters"),
};
const struct schema restore_page_request = SCHEMA(struct request, request_fields, .name = "restore_page request");

struct failure {
	int64_t char_id;
	const char *problem;
};
static const struct field failure_fields[] = {
	FIELD(struct failure, char_id, .required = true),
	FIELD(struct failure, problem, .required = true, .help = "why this one was not restored"),
};
static const struct schema failure_schema = SCHEMA(struct failure, failure_fields, .name = "failure");

struct result {
	int64_t restored;
	int64_t live;
	struct list failed;
};
static const struct field result_fields[] = {
	FIELD(struct result, restored, .required = true, .help = "caches rebuilt"),
	FIELD(struct result, live, .required = true, .help = "caches that were live already"),
	FIELD(struct result, failed, .required = true, .of = &failure_schema,
		.help = "characters that were not restored"),
};
const struct schema restore_page_result = SCHEMA(struct result, result_fields, .name = "restore_page result");

static int compare_items(const void *a, const void *b)
{
	const struct restore *x = a, *y = b;
	return (x->char_id > y->char_id) - (x->char_id < y->char_id);
}

/* The page's characters, sorted and each once. */
static struct restore *items_of(struct call *call, size_t *n)
{
	const struct request *in = call_args(call);
	const struct listed *listed = in->char_ids.items;
	struct restore *items = scratch_array(&call->scratch, in->char_ids.n, sizeof(*items));
	for (size_t i = 0; i < in->char_ids.n; i++)
		items[i] = (struct restore){ .char_id = listed[i].char_id, .repeat_id = repeat_id_of(call) };
	qsort(items, in->char_ids.n, sizeof(*items), compare_items);
	*n = 0;
	for (size_t i = 0; i < in->char_ids.n; i++)
		if (!*n || items[*n - 1].char_id != items[i].char_id)
			items[(*n)++] = items[i];
	return items;
}

static void add_failure(struct result *result, const struct restore *item)
{
	struct failure *failures = result->failed.items;
	failures[result->failed.n++] = (struct failure){
		.char_id = item->char_id,
		.problem = item->outcome == RESTORE_UNKNOWN  ? "there is no such character"
			   : item->outcome == RESTORE_LOCKED ? "its row was locked for too long"
							     : item->problem,
	};
}

/* A redelivery leaves the caches that stand; see restore_full_state. */
enum outcome restore_page(struct call *call)
{
	CLEANUP(scratch_release) struct scratch scratch;
	scratch_init(&scratch, (size_t)256 << 20);
	size_t n = 0;
	struct restore *items = items_of(call, &n);
	struct error err;
	if (restore_characters(call->pg, call->kv, items, n, &scratch, &err))
		return retry(call, &err);
	struct result result = { .failed.items = scratch_array(&call->scratch, n, sizeof(struct failure)) };
	for (size_t i = 0; i < n; i++) {
		if (items[i].outcome == RESTORED) {
			publish_restored(call, &items[i]);
			result.restored++;
		} else if (items[i].outcome == RESTORE_LIVE) {
			result.live++;
		} else {
			add_failure(&result, &items[i]);
		}
	}
	return reply_ok(call, &result);
}
