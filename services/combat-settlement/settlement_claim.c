#include "settlement_claim.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"
#include "settlement_plan.h"

/* Documents in one statement, so that neither this process nor the server holds many copies of a large batch. */
#define STATEMENT_BYTES ((size_t)96 * 1024)

struct claiming {
	struct pg *pg;
	struct scratch *scratch;
	struct fight **fights; /* those claimed */
	size_t n;
};

void fight_decide(struct fight *fight, enum fight_state state, const struct error *error, struct scratch *scratch)
{
	fight->state = state;
	fight->error = error ? (struct error *)scratch_memdup(scratch, (const char *)error, sizeof(*error)) : NULL;
}

struct history_row history_row_of(const struct fight *fight, struct scratch *scratch)
{
	const struct result_document *document = fight->document;
	CLEANUP(text_release) struct text ids = { 0 };

	text_char(&ids, '{');
	for (size_t i = 0; i < document->participants.n; i++)
		text_printf(&ids, "%s%lld", i ? "," : "", (long long)document_participant(document, i)->char_id);
	text_char(&ids, '}');
	return (struct history_row){
		.session_id = document->session_id,
		.participant_ids = scratch_memdup(scratch, ids.bytes, ids.len),
		.finished_at_us = document->meta.end_timestamp * 1000000,
		.document = fight->body,
		.document_len = fight->body_len,
		.digest = fight->digest,
	};
}

static int by_age(const void *a, const void *b)
{
	return fight_order((*(struct fight *const *)a)->document, (*(struct fight *const *)b)->document);
}

static int by_session(const void *a, const void *b)
{
	return uuid_compare(
		&(*(struct fight *const *)a)->document->session_id, &(*(struct fight *const *)b)->document->session_id);
}

static struct fight **copy_sorted(
	struct fight *const *fights, size_t n, int (*order)(const void *, const void *), struct scratch *scratch)
{
	struct fight **copy = scratch_array(scratch, n, sizeof(*copy));

	memcpy(copy, fights, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), order);
	return copy;
}

static struct fight *find_fight(struct fight *const *sorted, size_t n, const struct uuid *session)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = uuid_compare(&sorted[middle]->document->session_id, session);

		if (order == 0)
			return sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int read_claims(struct claiming *claiming, struct fight *const *sorted, size_t n, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	if (pg_sync(claiming->pg, &rows, 1, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		struct uuid session = pg_uuid(&rows, row, 0);

		claiming->fights[claiming->n++] = find_fight(sorted, n, &session);
	}
	return 0;
}

/* By as many statements as the documents' size calls for. */
static int claim_all(struct claiming *claiming, struct fight *const *sorted, size_t n, struct error *err)
{
	struct history_row *rows = scratch_array(claiming->scratch, n, sizeof(*rows));
	size_t begin = 0, bytes = 0;

	claiming->fights = scratch_array(claiming->scratch, n, sizeof(*claiming->fights));
	for (size_t i = 0; i < n; i++) {
		rows[i] = history_row_of(sorted[i], claiming->scratch);
		bytes += rows[i].document_len;
		if (i + 1 < n && bytes + sorted[i + 1]->body_len <= STATEMENT_BYTES)
			continue;
		sql_claim(claiming->pg, rows + begin, i + 1 - begin);
		if (read_claims(claiming, sorted, n, err))
			return -1;
		begin = i + 1;
		bytes = 0;
	}
	qsort(claiming->fights, claiming->n, sizeof(*claiming->fights), by_age);
	return 0;
}

/* A row that another program wrote has no digest: its document is compared by what it says. */
static bool same_document(const struct fight *fight, const struct pg_rows *rows, int row)
{
	CLEANUP(scratch_release) struct scratch tree = { .cap = SIZE_MAX };
	unsigned char digest[JSON_DIGEST_LEN];
	size_t len;
	const char *hash = pg_text(rows, row, 2, &len);
	const cJSON *json;

	if (hash)
		return len == JSON_DIGEST_LEN && memcmp(hash, fight->digest, len) == 0;
	hash = pg_text(rows, row, 4, &len);
	json = json_parse(hash, len, &tree, NULL);
	if (!json)
		return false;
	json_digest(json, digest);
	return memcmp(digest, fight->digest, JSON_DIGEST_LEN) == 0;
}

static void recognise_row(
	struct claiming *claiming, struct fight *fight, const struct pg_rows *rows, int row, size_t *adopted)
{
	const char *shortfalls;

	if (!same_document(fight, rows, row)) {
		fight_decide(fight, FIGHT_CONFLICT, NULL, claiming->scratch);
	} else if (strcmp(pg_text(rows, row, 1, NULL), "processed") == 0) {
		shortfalls = pg_text(rows, row, 3, &fight->shortfalls_len);
		if (shortfalls)
			fight->shortfalls = scratch_memdup(claiming->scratch, shortfalls, fight->shortfalls_len);
		fight_decide(fight, FIGHT_REPLAYED, NULL, claiming->scratch);
	} else if (pg_is_null(rows, row, 2)) {
		sql_adopt(claiming->pg, &fight->document->session_id, fight->digest);
		++*adopted;
	}
}

/*
 * Those that could not be claimed are in the history already: replays and conflicts are decided here. One that another program
 * wrote as pending stays open: with its digest added it can be claimed by the next transaction.
 */
static int recognise(struct claiming *claiming, struct fight *const *sorted, size_t n, struct error *err)
{
	struct uuid *sessions = scratch_array(claiming->scratch, n, sizeof(*sessions));
	struct fight **claimed = copy_sorted(claiming->fights, claiming->n, by_session, claiming->scratch);
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	size_t unclaimed = 0, adopted = 0;

	for (size_t i = 0; i < n; i++)
		if (!find_fight(claimed, claiming->n, &sorted[i]->document->session_id))
			sessions[unclaimed++] = sorted[i]->document->session_id;
	sql_recognise(claiming->pg, sessions, unclaimed);
	if (pg_sync(claiming->pg, &rows, 1, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		struct uuid session = pg_uuid(&rows, row, 0);

		recognise_row(claiming, find_fight(sorted, n, &session), &rows, row, &adopted);
	}
	return adopted ? pg_sync(claiming->pg, NULL, adopted, err) : 0;
}

int settlement_claim(struct pg *pg, struct fight *const *fights, size_t n, struct claimed *claimed,
	struct scratch *scratch, struct error *err)
{
	struct claiming claiming = { .pg = pg, .scratch = scratch };
	struct fight **sorted = copy_sorted(fights, n, by_session, scratch);

	if (claim_all(&claiming, sorted, n, err) || (claiming.n < n && recognise(&claiming, sorted, n, err)))
		return -1;
	*claimed = (struct claimed){ claiming.fights, claiming.n };
	return 0;
}
