#include "sweep.h"

#include <inttypes.h>

#include "arena_session.h"
#include "arena_settings.h"
#include "clock.h"
#include "crash.h"
#include "log.h"
#include "publisher.h"
#include "trace.h"

#define EXPIRE_MAX 128	/* requests ended in one step */
#define PAGE 256	/* requests tried in one round trip, each in a step of its own */
#define NOTICES_MAX 256 /* announced together */
#define SWEEP_SCRATCH (256 * 1024)

enum { WAITING, MATCHES, EXPIRED, UNREADABLE };
struct metric arena_metrics[ARENA_METRICS] = {
	[WAITING] = { .name = "arena_waiting", .help = "Requests in all queues, as last swept", .kind = METRIC_GAUGE },
	[MATCHES] = { .name = "arena_matches_announced_total", .help = "Battles announced by this worker" },
	[EXPIRED] = { .name = "arena_expired_announced_total", .help = "Expired requests announced by this worker" },
	[UNREADABLE] = { .name = "arena_notices_unreadable_total",
		.help = "Entries of arena:announce that were no notice" },
};

struct match_found {
	int64_t char_id;
	int64_t opponent_id;
	struct uuid session_id;
};
static const struct field match_found_fields[] = {
	FIELD(struct match_found, char_id, .required = true, .help = "whom this tells of his match"),
	FIELD(struct match_found, opponent_id, .required = true, .help = "whom he meets"),
	FIELD(struct match_found, session_id, .required = true, .help = "the fight's session"),
};
static const struct schema match_found_schema = SCHEMA(
	struct match_found, match_found_fields, .name = "arena.match_found");

struct request_expired {
	int64_t char_id;
	const char *mode;
};
static const struct field request_expired_fields[] = {
	FIELD(struct request_expired, char_id, .required = true, .help = "who waited"),
	FIELD(struct request_expired, mode, .required = true, .help = "the mode he waited in"),
};
static const struct schema request_expired_schema = SCHEMA(
	struct request_expired, request_expired_fields, .name = "arena.request_expired");

const struct service_event arena_events[ARENA_EVENTS] = {
	{ "battle_created", "Two characters were matched; once a battle", &battle_schema },
	{ "match_found", "The same for each of the two", &match_found_schema },
	{ "request_expired", "A request ended without a match", &request_expired_schema },
};

/* Where this worker's sweep stands; one timer thread. */
static int64_t sweep_next;

static int64_t failed(struct call *call, const char *timer, const struct error *err)
{
	call->down = err->down;
	log_line(LOG_WARN, timer, "%s: %s", code_name(err->code), err->text);
	return arena_settings.sweep_interval_ms;
}

/* Ends what is due, then tries the waiting page by page, until all are seen or the time for it is used up. */
static int sweep(struct kv *kv, int64_t until_ms, struct error *err)
{
	CLEANUP(scratch_release) struct scratch scratch;
	int64_t ended = EXPIRE_MAX, matched, waiting;

	scratch_init(&scratch, SWEEP_SCRATCH);
	struct arena_session session = arena_session_of(kv, NULL, &scratch);
	while (ended == EXPIRE_MAX && clock_ms() < until_ms)
		if (arena_session_check_timeout(&session, EXPIRE_MAX, &ended, err))
			return -1;
	if (ended)
		crash_point("arena_expired");
	if (arena_session_count(&session, &waiting, err))
		return -1;
	metric_set(&arena_metrics[WAITING], waiting);
	do {
		scratch_reset(&scratch);
		session = arena_session_of(kv, NULL, &scratch);
		if (arena_session_prepare_match(&session, PAGE, &sweep_next, &matched, err))
			return -1;
	} while (sweep_next && clock_ms() < until_ms);
	return 0;
}

int64_t arena_sweep(struct call *call)
{
	struct arena_session session = arena_session_of(call->kv, call->pg, &call->scratch);
	int64_t interval_ms = arena_settings.sweep_interval_ms;
	struct error err;
	bool mine = false;

	/* The turn ends before the next run, so that the worker that had it can have it again. */
	if (arena_session_take_turn(&session, interval_ms * 3 / 4, &mine, &err) ||
		(mine && sweep(call->kv, clock_ms() + interval_ms / 2, &err)))
		return failed(call, "arena_sweep", &err);
	return interval_ms;
}

/* The message ids are made of what is told, so they are the same whoever tells it and however often. */
static void tell_battle(struct call *call, const struct battle *battle)
{
	const struct battle_participant *two = battle->participants.items;
	char id[UUID_TEXT_MAX];

	uuid_format(&battle->session_id, id);
	publish_event(call, "battle_created", id, &battle_schema, battle);
	for (int i = 0; i < 2; i++) {
		struct match_found body = { two[i].char_id, two[1 - i].char_id, battle->session_id };

		publish_event(call, "match_found", scratch_printf(&call->scratch, "%s:%" PRId64, id, two[i].char_id),
			&match_found_schema, &body);
	}
	metric_add(&arena_metrics[MATCHES], 1);
}

static void tell(struct call *call, const struct arena_notice *notice)
{
	struct request_expired expired = { notice->char_id, notice->mode };

	trace_continue(notice->traceparent, call->traceparent);
	switch (notice->kind) {
	case NOTICE_BATTLE:
		tell_battle(call, &notice->battle);
		break;
	case NOTICE_EXPIRED:
		publish_event(call, "request_expired",
			scratch_printf(
				&call->scratch, "expired:%" PRId64 ":%" PRId64, notice->char_id, notice->expired_us),
			&request_expired_schema, &expired);
		metric_add(&arena_metrics[EXPIRED], 1);
		break;
	case NOTICE_UNREADABLE:
		log_line(LOG_ERROR, "arena_announce", "arena:announce held no notice: %s", notice->entry);
		metric_add(&arena_metrics[UNREADABLE], 1);
		break;
	}
}

int64_t arena_announce(struct call *call)
{
	struct arena_session session = arena_session_of(call->kv, call->pg, &call->scratch);
	struct arena_notice *notices;
	struct error err;
	size_t n;

	/* What nobody can be told now is not taken: its lease would be over before the broker is back, and it would be told twice. */
	if (!publisher_is_up(service_publisher()))
		return arena_settings.sweep_interval_ms;
	if (arena_session_take_notices(&session, NOTICES_MAX, arena_settings.announce_lease_ms, &notices, &n, &err))
		return failed(call, "arena_announce", &err);
	if (!n)
		return arena_settings.sweep_interval_ms;
	crash_point("arena_notices_taken");
	for (size_t i = 0; i < n; i++)
		tell(call, &notices[i]);
	/* Dropped only once the broker has them all; a worker that dies before leaves them to whoever finds the lease over. */
	if (publish_flush(call, &err))
		return failed(call, "arena_announce", &err);
	crash_point("arena_announced");
	if (arena_session_drop_notices(&session, notices, n, &err))
		return failed(call, "arena_announce", &err);
	crash_point("arena_notices_dropped");
	return n == NOTICES_MAX ? 0 : arena_settings.sweep_interval_ms;
}
