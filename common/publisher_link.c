/* The publisher's connection: what goes out on it, and what comes back. */
#include "clock.h"
#include "log.h"
#include "publisher_internal.h"

#define BURST 64
#define CONNECT_LIMIT_MS 5000
#define REFUSED_AGAIN_MS 500

struct metric publisher_metrics[PUBLISHER_METRICS] = {
	[PUBLISHED] = { .name = "published_total", .help = "Messages handed to the broker" },
	[CONFIRMED] = { .name = "publish_confirmed_total", .help = "Publications confirmed by the broker" },
	[REFUSED_AGAIN] = { .name = "publish_refused_total",
		.help = "Publications refused or returned by the broker; each is tried again" },
	[CONNECTS] = { .name = "publisher_connects_total", .help = "Connections made by the publisher" },
	[UNHEARD] = { .name = "events_unheard_total",
		.help = "Events that no queue took, most of them without being published each" },
	[REPLIES_DROPPED] = { .name = "replies_dropped_total", .help = "Replies dropped for want of a broker" },
	[WAITING] = { .name = "publish_waiting", .help = "Publications not yet confirmed", .kind = METRIC_GAUGE },
};

void publisher_lost(struct publisher *publisher, const struct error *err)
{
	log_line(LOG_WARN, "publisher_lost", "%s", err->text);
	atomic_store(&publisher->up, false);
	bus_close(publisher->bus, 0);
	publisher->broken = false;
	window_empty(&publisher->window, &publisher->waiting);
	audience_lost(&publisher->audience);
	requests_fail_all(&publisher->requests, "the connection to the broker was lost");
}

int publisher_connect(struct publisher *publisher, struct error *err)
{
	if (bus_connect(publisher->bus, true, CONNECT_LIMIT_MS, err))
		return -1;
	if (requests_connected(&publisher->requests, publisher->bus, err)) {
		bus_close(publisher->bus, 0);
		return -1;
	}
	publisher->blocked = false;
	metric_add(&publisher_metrics[CONNECTS], 1);
	atomic_store(&publisher->up, true);
	log_line(LOG_INFO, "publisher_connected", "%s", bus_host(publisher->bus));
	return 0;
}

static int publish_one(struct publisher *publisher, enum bus_channel channel, const struct outgoing *out,
	uint64_t *sequence, struct error *err)
{
	const struct bus_publication publication = {
		.exchange = out->exchange,
		.routing_key = out->routing_key,
		.body = out->body,
		.body_len = out->body_len,
		.type = out->type,
		.message_id = out->message_id,
		.correlation_id = out->correlation_id,
		.reply_to = out->reply_to,
		.expiration = out->expiration,
		.headers = out->headers,
		.n_headers = out->n_headers,
		.persistent = out->promise != PROMISE_NONE,
		.mandatory = out->mandatory,
	};

	metric_add(&publisher_metrics[PUBLISHED], 1);
	return bus_publish(publisher->bus, channel, &publication, sequence, err);
}

int publisher_send_waiting(struct publisher *publisher, struct error *err)
{
	if (publisher->blocked || clock_ms() < publisher->refused_until_ms)
		return 0;
	for (int i = 0; i < BURST && publisher->waiting.head && !window_is_full(&publisher->window); i++) {
		struct outgoing *out = outgoing_queue_take(&publisher->waiting);
		struct sent *sent = window_add(&publisher->window, out);

		if (publish_one(publisher, BUS_MAIN, out, &sent->sequence, err))
			return -1;
	}
	return 0;
}

int publisher_send_replies(struct publisher *publisher, struct error *err)
{
	if (publisher->blocked)
		return 0;
	for (int i = 0; i < BURST && publisher->replies.head; i++) {
		struct outgoing *out = outgoing_queue_take(&publisher->replies);
		int failed = publish_one(publisher, BUS_PLAIN, out, NULL, err);

		outgoing_end(out, !failed);
		if (failed)
			return -1;
	}
	return 0;
}

static void take_answer(struct publisher *publisher, const struct outgoing *out)
{
	if (out->promise == PROMISE_HEARD)
		metric_add(&publisher_metrics[UNHEARD],
			(int64_t)audience_answer(&publisher->audience, out, !out->returned, &publisher->waiting));
}

static void take_confirm(struct publisher *publisher, const struct bus_event *event)
{
	struct outgoing_queue confirmed, refused;

	outgoing_queue_init(&confirmed);
	outgoing_queue_init(&refused);
	window_settle(
		&publisher->window, event->tag, event->multiple, event->kind == BUS_CONFIRMED, &confirmed, &refused);
	while (confirmed.head) {
		struct outgoing *out = outgoing_queue_take(&confirmed);

		metric_add(&publisher_metrics[CONFIRMED], 1);
		take_answer(publisher, out);
		outgoing_end(out, true);
	}
	while (refused.head) {
		struct outgoing *out = outgoing_queue_take(&refused);

		metric_add(&publisher_metrics[REFUSED_AGAIN], 1);
		take_answer(publisher, out);
		if (out->promise == PROMISE_ONCE) {
			outgoing_end(out, false);
			continue;
		}
		/* A full queue, a missing one: it is kept, and offered again a little later. */
		publisher->refused_until_ms = clock_ms() + REFUSED_AGAIN_MS;
		outgoing_queue_add(&publisher->waiting, out);
	}
}

static void take_return(struct publisher *publisher, const struct bus_delivery *delivery)
{
	const struct outgoing *out;

	if (delivery->channel != BUS_MAIN) {
		requests_answer(&publisher->requests, delivery, true);
		return;
	}
	out = window_return(&publisher->window, delivery);
	if (out && out->promise == PROMISE_CONFIRM)
		log_line(LOG_ERROR, "unroutable", "%s to exchange %s: no queue takes it; it is kept and tried again",
			out->routing_key, out->exchange);
}

int publisher_read(struct publisher *publisher, struct error *err)
{
	struct bus_event event;

	for (;;) {
		if (bus_next(publisher->bus, &event, err))
			return -1;
		switch (event.kind) {
		case BUS_NOTHING:
			return 0;
		case BUS_CONFIRMED:
		case BUS_REJECTED:
			take_confirm(publisher, &event);
			break;
		case BUS_RETURNED:
			take_return(publisher, &event.delivery);
			break;
		case BUS_DELIVERY:
			requests_answer(&publisher->requests, &event.delivery, false);
			break;
		case BUS_QUEUE_INFO:
		case BUS_NO_QUEUE:
			requests_queue_info(&publisher->requests, publisher->bus, &event);
			break;
		case BUS_BLOCKED:
			log_line(LOG_WARN, "broker_blocked", "the broker takes no publications (resource alarm)");
			publisher->blocked = true;
			break;
		case BUS_UNBLOCKED:
			log_line(LOG_INFO, "broker_unblocked", "the broker takes publications again");
			publisher->blocked = false;
			break;
		default:
			break;
		}
	}
}
