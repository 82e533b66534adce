/* Battles of the arena: nobody is in two, and nobody who is in one waits for another. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"

/* One character's place in a battle. */
struct place {
	int64_t char_id;
	struct uuid session_id;
};

struct battles {
	struct audit_report *report;
	struct place *places;
	size_t n, room;
};

static void battles_release(struct battles *battles)
{
	free(battles->places);
}

static void add_place(struct battles *battles, int64_t char_id, const struct uuid *session_id)
{
	if (battles->n == battles->room) {
		battles->room = battles->room ? battles->room * 2 : 256;
		battles->places = must_realloc(battles->places, battles->room * sizeof(*battles->places));
	}
	battles->places[battles->n++] = (struct place){ char_id, *session_id };
}

/* "<mode> <char> <score> <char> <score> <matched_us>" */
static void take_battle(struct battles *battles, const char *key, const struct kv_answer *answer)
{
	const char *session = key + strlen("arena:battle:"), *text = kv_string(answer, NULL);
	int64_t two[2];
	struct uuid id;

	if (kv_kind(answer) == KV_NIL)
		return; /* over meanwhile */
	if (uuid_parse(session, &id) || kv_kind(answer) != KV_STRING ||
		sscanf(text, "%*s %" SCNd64 " %*d %" SCNd64, &two[0], &two[1]) != 2) {
		audit_find(battles->report, "battle", 0, NULL, "%s is no battle", key);
		return;
	}
	audit_count(battles->report, "battles", 1);
	for (int i = 0; i < 2; i++)
		add_place(battles, two[i], &id);
}

static int read_battles(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct kv *kv = audit_kv(sources);

	for (size_t i = 0; i < page->n; i++)
		kv_queue(kv, "GET %s", page->keys[i]);
	if (kv_sync(kv, &answers, err))
		return -1;
	for (size_t i = 0; i < page->n; i++)
		take_battle(context, page->keys[i], kv_at(&answers, i));
	return 0;
}

static int by_session(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return uuid_compare(&x->session_id, &y->session_id);
}

static int by_character(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->char_id != y->char_id)
		return x->char_id < y->char_id ? -1 : 1;
	return by_session(a, b);
}

/* A battle that is fought and settled binds nobody any more, though it can still be read. */
static int forget_settled(const struct audit_sources *sources, struct battles *battles, struct error *err)
{
	static const struct pg_statement settled = { "audit_settled_battles",
		"SELECT session_id FROM combat_history WHERE session_id = ANY ($1::uuid[]) AND settlement_status = "
		"'processed'"
		" ORDER BY session_id" };
	CLEANUP(release_memory) struct uuid *sessions = must_alloc((battles->n + 1) * sizeof(*sessions));
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	size_t kept = 0;
	int row = 0;

	for (size_t i = 0; i < battles->n; i++)
		sessions[i] = battles->places[i].session_id;
	pg_add_uuid_array(&params, sessions, battles->n);
	if (audit_query(sources, &settled, &params, &rows, err))
		return -1;
	qsort(battles->places, battles->n, sizeof(*battles->places), by_session);
	for (size_t i = 0; i < battles->n; i++) {
		struct uuid id = { { 0 } };
		int order = -1;

		for (; row < rows.n; row++) {
			id = pg_uuid(&rows, row, 0);
			order = uuid_compare(&id, &battles->places[i].session_id);
			if (order >= 0)
				break;
		}
		if (row == rows.n || order != 0)
			battles->places[kept++] = battles->places[i];
	}
	battles->n = kept;
	return 0;
}

static void judge_doubles(struct battles *battles)
{
	char first[UUID_TEXT_MAX], second[UUID_TEXT_MAX];

	qsort(battles->places, battles->n, sizeof(*battles->places), by_character);
	for (size_t i = 1; i < battles->n; i++) {
		const struct place *a = &battles->places[i - 1], *b = &battles->places[i];

		if (a->char_id == b->char_id && uuid_compare(&a->session_id, &b->session_id) != 0)
			audit_find(battles->report, "two_battles", b->char_id, &b->session_id,
				"character %lld is in two battles, %s and %s", (long long)b->char_id,
				uuid_format(&a->session_id, first), uuid_format(&b->session_id, second));
	}
}

/* A page of those who are to fight: none of them has a living request. */
static int judge_waiting(
	const struct audit_sources *sources, struct battles *battles, size_t first, size_t n, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct kv *kv = audit_kv(sources);
	char session[UUID_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		kv_queue(kv, "HGET arena:request:%lld mode", (long long)battles->places[first + i].char_id);
	if (kv_sync(kv, &answers, err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct place *place = &battles->places[first + i];

		if (kv_kind(kv_at(&answers, i)) == KV_STRING)
			audit_find(battles->report, "waiting_in_battle", place->char_id, &place->session_id,
				"character %lld is in battle %s and waits for another", (long long)place->char_id,
				uuid_format(&place->session_id, session));
	}
	return 0;
}

int audit_battles(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	CLEANUP(battles_release) struct battles battles = { .report = report };

	if (audit_scan(sources, "arena:battle:*", read_battles, &battles, err))
		return -1;
	if (battles.n && forget_settled(sources, &battles, err))
		return -1;
	judge_doubles(&battles);
	for (size_t first = 0; first < battles.n; first += AUDIT_PAGE)
		if (judge_waiting(sources, &battles, first,
			    battles.n - first < AUDIT_PAGE ? battles.n - first : AUDIT_PAGE, err))
			return -1;
	return 0;
}
