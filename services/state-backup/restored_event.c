#include "restored_event.h"

#include "counts.h"

struct event {
	int64_t char_id;
	const char *state;
};
static const struct field fields[] = {
	FIELD(struct event, char_id, .required = true, .help = "the character"),
	FIELD(struct event, state, .required = true, .help = "the state the cache was given"),
};
static const struct schema schema = SCHEMA(struct event, fields, .name = "state-backup.restored");

const struct service_event state_backup_events[STATE_BACKUP_EVENTS] = {
	{ "restored", "A cache was rebuilt from the database", &schema },
};

void publish_restored(struct call *call, const struct restore *item)
{
	const struct event event = { .char_id = item->char_id, .state = item->state };
	const char *message_id = scratch_printf(
		&call->scratch, "%s:restored:%lld", call->message_id, (long long)item->char_id);
	publish_event(call, "restored", message_id, &schema, &event);
	metric_add(&counts[COUNT_RESTORED], 1);
}

const char *repeat_id_of(const struct call *call)
{
	return call->idempotency_key && call->message->lane == LANE_DURABLE ? call->message_id : NULL;
}
