#include "settle_combat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "combat_settings.h"
#include "common/crash.h"
#include "fight_fences.h"
#include "fight_summary.h"
#include "settled_cache.h"
#include "settlement.h"

#define EVENT_SETTLED "settled"

const struct service_event combat_events[COMBAT_EVENTS] = {
	{ EVENT_SETTLED, "A fight's effects are in; once more on every replay", &fight_event_schema },
};
#define COMMAND_BACKUP "state-backup.backup_full_state"
#define MESSAGE_ID_MAX 96
/* Fights in one round trip to Redis. */
#define FOLLOW_UP_MAX 128

static const struct field result_fields[] = {
	FIELD(struct settle_combat_result, session_id, .required = true, .help = "the fight"),
	FIELD(struct settle_combat_result, status, .required = true, .help = "processed"),
	FIELD(struct settle_combat_result, replayed, .required = true,
		.help = "it was settled before, from the same document"),
};
const struct schema settle_combat_result = SCHEMA(
	struct settle_combat_result, result_fields, .name = "settle_combat result");

/* A call and the fight it asks for. */
struct entry {
	struct call *call;
	struct fight fight;
	struct entry *leader; /* the one with the same document that is settled for both; itself for a leader */
};

/* ---- what came ---- */

static bool check(struct call *call)
{
	const struct document_limits limits = { combat_settings.participants_max, combat_settings.amount_max,
		combat_settings.quantity_max };
	struct document_problem problems[PROBLEMS_MAX];
	size_t n = document_check(call_args(call), &limits, problems, ARRAY_LEN(problems), &call->scratch);

	for (size_t i = 0; i < n; i++)
		refuse_field(call, problems[i].field, "%s", problems[i].problem);
	return n == 0;
}

static size_t list_entries(struct batch *batch, struct entry **list, struct scratch *scratch)
{
	struct entry *entries = scratch_array(scratch, batch->n, sizeof(*entries));
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++) {
		struct call *call = batch->calls[i];

		if (!check(call))
			continue;
		entries[n] = (struct entry){
			.call = call,
			.fight = { .document = call_args(call),
				.body = call->message->body,
				.body_len = call->message->body_len,
				.digest = call->digest },
		};
		list[n] = &entries[n];
		n++;
	}
	return n;
}

/* By session; of one session, in the order they came. */
static int by_session(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
	int order = uuid_compare(&x->fight.document->session_id, &y->fight.document->session_id);

	return order ? order : (x > y) - (x < y);
}

/*
 * Of each session the first leads, and those with the same document follow it. One with another document waits in `rest` for its
 * own turn, when the database will tell that it is in conflict. Returns the number of leaders.
 */
static size_t pick_leaders(struct entry **list, size_t n, struct entry **leaders, struct entry **rest, size_t *n_rest)
{
	size_t n_leaders = 0;

	*n_rest = 0;
	for (size_t i = 0; i < n; i++) {
		struct entry *entry = list[i], *leader = n_leaders ? leaders[n_leaders - 1] : NULL;

		entry->leader = NULL;
		if (!leader ||
			uuid_compare(&leader->fight.document->session_id, &entry->fight.document->session_id) != 0)
			leaders[n_leaders++] = entry->leader = entry;
		else if (memcmp(leader->fight.digest, entry->fight.digest, JSON_DIGEST_LEN) == 0)
			entry->leader = leader;
		else
			rest[(*n_rest)++] = entry;
	}
	return n_leaders;
}

/* ---- what goes out ---- */

static bool is_done(const struct fight *fight)
{
	return fight->state == FIGHT_SETTLED || fight->state == FIGHT_REPLAYED;
}

/* Makes the event, whose id is the same on every repeat, and the tombstone. */
static struct settled_fight tell(struct entry *entry, const struct item_names *names, struct scratch *scratch)
{
	struct fight *fight = &entry->fight;
	struct fight_summary summary = fight_summary_of(fight->document, names, scratch);
	struct settled_fight settled = { .fight = fight };
	CLEANUP(text_release) struct text text = { 0 };
	char session[UUID_TEXT_MAX], message_id[MESSAGE_ID_MAX];

	snprintf(message_id, sizeof(message_id), "settled-%s", uuid_format(&fight->document->session_id, session));
	fight_event_write(&summary, fight->shortfalls ? fight->shortfalls : "[]",
		fight->shortfalls ? fight->shortfalls_len : 2, &text);
	publish_event_json(entry->call, EVENT_SETTLED, message_id, &text);
	text_reset(&text);
	schema_write(&fight_summary_schema, &summary, &text);
	settled.tombstone = scratch_memdup(scratch, text.bytes, text.len);
	settled.tombstone_len = text.len;
	return settled;
}

/* Whoever changes a state also has it backed up. */
static void ask_for_backups(struct entry *entry, const struct settled_fight *settled)
{
	const struct result_document *document = entry->fight.document;
	CLEANUP(text_release) struct text body = { 0 };

	for (size_t i = 0; i < document->participants.n; i++) {
		long long id = document_participant(document, i)->char_id;
		char session[UUID_TEXT_MAX], message_id[MESSAGE_ID_MAX];

		if (!(settled->state_changed & (uint64_t)1 << i))
			continue;
		text_reset(&body);
		text_printf(&body, "{\"char_id\":%lld}", id);
		snprintf(message_id, sizeof(message_id), "backup-%s-%lld", uuid_format(&document->session_id, session),
			id);
		publish_command(entry->call, COMMAND_BACKUP, message_id, &body);
	}
}

static void reply_settled(struct call *call, bool replayed)
{
	const struct result_document *document = call_args(call);
	struct settle_combat_result result = { document->session_id, "processed", replayed };

	reply_ok(call, &result);
}

static void reply_undone(struct call *call, const struct fight *fight)
{
	char session[UUID_TEXT_MAX];

	if (fight->state == FIGHT_CONFLICT)
		refuse(call, CODE_CONFLICT, "fight %s is there already, from another document",
			uuid_format(&fight->document->session_id, session));
	else
		retry(call, fight->error);
}

/* One round trip to Redis, and the replies. */
static void follow_up_some(
	struct batch *batch, struct entry **entries, size_t n, const struct item_names *names, struct scratch *scratch)
{
	struct settled_fight *settled = scratch_array(scratch, n, sizeof(*settled));
	struct error err;
	bool failed;

	for (size_t i = 0; i < n; i++)
		settled[i] = tell(entries[i], names, scratch);
	crash_point("fights_before_tombstone");
	failed = settled_cache_write(batch->kv, batch->pg, settled, n, scratch, &err) != 0;
	crash_point("fights_tombstone_written");
	for (size_t i = 0; i < n; i++) {
		struct entry *entry = entries[i];

		if (failed || settled[i].error) {
			retry(entry->call, failed ? &err : settled[i].error);
			continue;
		}
		ask_for_backups(entry, &settled[i]);
		reply_settled(entry->call, entry->fight.state == FIGHT_REPLAYED);
	}
}

/*
 * Everything after the commit but the publications themselves, which precede the ack. In parts, so that neither this process nor
 * Redis holds the texts of a whole batch.
 */
static void follow_up(
	struct batch *batch, struct entry **leaders, size_t n, const struct item_names *names, struct scratch *scratch)
{
	CLEANUP(scratch_release) struct scratch part = { .cap = SIZE_MAX };
	struct entry **done = scratch_array(scratch, n, sizeof(*done));
	size_t n_done = 0;

	for (size_t i = 0; i < n; i++)
		if (is_done(&leaders[i]->fight))
			done[n_done++] = leaders[i];
	for (size_t i = 0; i < n_done; i += FOLLOW_UP_MAX) {
		follow_up_some(batch, done + i, n_done - i < FOLLOW_UP_MAX ? n_done - i : FOLLOW_UP_MAX, names, &part);
		scratch_reset(&part);
	}
}

static void forget_unknown(struct batch *batch, struct entry **leaders, size_t n, struct scratch *scratch)
{
	struct uuid *sessions = scratch_array(scratch, n, sizeof(*sessions));
	size_t unsettled = 0;

	for (size_t i = 0; i < n; i++)
		if (leaders[i]->fight.state == FIGHT_HOPELESS || leaders[i]->fight.state == FIGHT_DELAYED)
			sessions[unsettled++] = leaders[i]->fight.document->session_id;
	if (unsettled)
		settled_cache_forget_unknown(batch->kv, sessions, unsettled);
}

/* ---- a turn: fights with distinct sessions, settled together ---- */

/* Replays have to know again whose newest fight they are. */
static int prepare_replays(
	struct batch *batch, struct fight **fights, size_t n, struct scratch *scratch, struct error *err)
{
	struct fight **replays = scratch_array(scratch, n, sizeof(*replays));
	size_t n_replays = 0;

	for (size_t i = 0; i < n; i++)
		if (fights[i]->state == FIGHT_REPLAYED)
			replays[n_replays++] = fights[i];
	return n_replays ? fences_find(batch->pg, replays, n_replays, scratch, err) : 0;
}

static void delay_replays(struct fight **fights, size_t n, const struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (fights[i]->state != FIGHT_REPLAYED)
			continue;
		fights[i]->state = FIGHT_DELAYED;
		fights[i]->error = err;
	}
}

static void run_turn(struct batch *batch, struct entry **leaders, size_t n, struct scratch *scratch)
{
	struct fight **fights = scratch_array(scratch, n, sizeof(*fights));
	struct error *err = scratch_alloc(scratch, sizeof(*err));
	struct templates templates;

	for (size_t i = 0; i < n; i++)
		fights[i] = &leaders[i]->fight;
	if (templates_read(&templates, batch->pg, fights, n, scratch, err)) {
		settle_later(batch->pg, fights, n, err, scratch);
	} else {
		settle(batch->pg, fights, n, &templates, scratch);
		crash_point("fights_settled");
		if (prepare_replays(batch, fights, n, scratch, err))
			delay_replays(fights, n, err);
		follow_up(batch, leaders, n, &(struct item_names){ templates.names, templates.n }, scratch);
	}
	for (size_t i = 0; i < n; i++)
		if (!is_done(fights[i]))
			reply_undone(leaders[i]->call, fights[i]);
	forget_unknown(batch, leaders, n, scratch);
}

/* A follower ends as its leader did; what it repeats is done already. */
static void end_follower(struct entry *entry)
{
	const struct call *led = entry->leader->call;
	struct error err;

	if (led->outcome == DONE)
		reply_settled(entry->call, true);
	else if (led->outcome == REFUSED)
		reply_undone(entry->call, &entry->leader->fight);
	else {
		error_set(&err, led->reply.code, "%s", led->reply.message);
		err.down = led->down;
		retry(entry->call, &err);
	}
}

/*
 * A redelivery is safe: the fight's row in combat_history is inserted in the transaction of all its effects, so a second run finds
 * it and only repeats what follows the commit.
 */
void settle_combat(struct batch *batch)
{
	/* Its own: what a batch needs depends on its documents, and is gone before the next one. */
	CLEANUP(scratch_release) struct scratch scratch = { .cap = SIZE_MAX };
	struct entry **list, **leaders, **rest;
	size_t n, n_rest;

	list = scratch_array(&scratch, batch->n, sizeof(*list));
	leaders = scratch_array(&scratch, batch->n, sizeof(*leaders));
	n = list_entries(batch, list, &scratch);
	crash_point("fights_read");
	qsort(list, n, sizeof(*list), by_session);
	for (; n; n = n_rest) {
		size_t n_leaders;

		rest = scratch_array(&scratch, n, sizeof(*rest));
		n_leaders = pick_leaders(list, n, leaders, rest, &n_rest);
		run_turn(batch, leaders, n_leaders, &scratch);
		for (size_t i = 0; i < n; i++)
			if (list[i]->leader && list[i]->leader != list[i])
				end_follower(list[i]);
		list = rest;
	}
}
