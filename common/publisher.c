#include "publisher_internal.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"

#define BURST 64
#define CONNECT_LIMIT_MS 5000
#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000
#define REFUSED_AGAIN_MS 500
#define IDLE_POLL_MS 1000
#define REPLIES_HELD_MAX 10000

static struct metric publisher_metrics[] = {
	{ "published_total", "Messages handed to the broker", METRIC_COUNTER, 0, 0 },
	{ "publish_confirmed_total", "Publications confirmed by the broker", METRIC_COUNTER, 0, 0 },
	{ "publish_refused_total", "Publications refused or returned by the broker; each is tried again",
		METRIC_COUNTER, 0, 0 },
	{ "publisher_connects_total", "Connections made by the publisher", METRIC_COUNTER, 0, 0 },
	{ "replies_dropped_total", "Replies dropped for want of a broker", METRIC_COUNTER, 0, 0 },
	{ "publish_waiting", "Publications not yet confirmed", METRIC_GAUGE, 0, 0 },
};
enum { PUBLISHED, CONFIRMED, REFUSED_AGAIN, CONNECTS, REPLIES_DROPPED, WAITING };

struct publisher {
	struct bus *bus;
	pthread_t thread;
	atomic_bool up;
	_Atomic int64_t progress_ms, stop_deadline_ms; /* 0 while not stopping */
	struct inbox inbox;

	/* Of whoever has the turn. */
	struct outgoing_queue waiting; /* with confirm, not sent or to be sent again */
	struct outgoing_queue replies;
	struct window window;
	int64_t refused_until_ms;
	bool blocked;
	bool broken; /* and the thread does not know it yet */
	struct error broken_by;
	struct requests requests;
};

/* ---- the connection ---- */

static void lost(struct publisher *publisher, const struct error *err)
{
	log_line(LOG_WARN, "publisher_lost", "%s", err->text);
	atomic_store(&publisher->up, false);
	bus_close(publisher->bus, 0);
	publisher->broken = false;
	window_empty(&publisher->window, &publisher->waiting);
	requests_fail_all(&publisher->requests, "the connection to the broker was lost");
}

static int connect_once(struct publisher *publisher, struct error *err)
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

static int publish_waiting(struct publisher *publisher, struct error *err)
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

static int publish_replies(struct publisher *publisher, struct error *err)
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

static void take_confirm(struct publisher *publisher, const struct bus_event *event)
{
	struct outgoing_queue confirmed, refused;

	outgoing_queue_init(&confirmed);
	outgoing_queue_init(&refused);
	window_settle(
		&publisher->window, event->tag, event->multiple, event->kind == BUS_CONFIRMED, &confirmed, &refused);
	while (confirmed.head) {
		metric_add(&publisher_metrics[CONFIRMED], 1);
		outgoing_end(outgoing_queue_take(&confirmed), true);
	}
	while (refused.head) {
		struct outgoing *out = outgoing_queue_take(&refused);

		metric_add(&publisher_metrics[REFUSED_AGAIN], 1);
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

static int read_frames(struct publisher *publisher, struct error *err)
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
			requests_queue_info(&publisher->requests, publisher->bus, event.text,
				event.kind == BUS_QUEUE_INFO, event.consumers);
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

/* ---- the thread ---- */

static void take_inbox(struct publisher *publisher, struct request **requests)
{
	bool stuck = !atomic_load(&publisher->up) || publisher->blocked;
	struct outgoing_queue messages;

	inbox_take(&publisher->inbox, &messages, requests);
	while (messages.head) {
		struct outgoing *out = outgoing_queue_take(&messages);

		if (out->promise == PROMISE_NONE)
			outgoing_queue_add(&publisher->replies, out);
		else if (out->promise == PROMISE_ONCE && stuck)
			outgoing_end(out, false);
		else
			outgoing_queue_add(&publisher->waiting, out);
	}
	metric_set(&publisher_metrics[WAITING], (int64_t)(publisher->waiting.n + publisher->window.n));
}

static void take_requests(struct publisher *publisher, struct request *request)
{
	while (request) {
		struct request *next = request->next;

		if (!atomic_load(&publisher->up))
			request_end(request, CODE_UNAVAILABLE, "the broker is out of reach");
		else if (publisher->blocked)
			request_end(request, CODE_UNAVAILABLE, "the broker takes no publications (resource alarm)");
		else
			requests_send(&publisher->requests, publisher->bus, request);
		request = next;
	}
}

static void drop_replies(struct publisher *publisher, size_t keep)
{
	while (publisher->replies.n > keep) {
		metric_add(&publisher_metrics[REPLIES_DROPPED], 1);
		outgoing_end(outgoing_queue_take(&publisher->replies), false);
	}
}

static void wait_for_work(struct publisher *publisher, int timeout_ms)
{
	log_flush();
	inbox_wait(&publisher->inbox, bus_is_open(publisher->bus) ? bus_fd(publisher->bus) : -1, timeout_ms);
}

static bool finished(struct publisher *publisher)
{
	int64_t deadline_ms = atomic_load(&publisher->stop_deadline_ms);

	if (!deadline_ms)
		return false;
	return clock_ms() >= deadline_ms || (inbox_is_empty(&publisher->inbox) && !publisher->waiting.n &&
						    !publisher->window.n && !publisher->replies.n);
}

/* All that is to go out now. Several leave together: each segment costs the broker's reader a turn of its own. */
static int publish_all(struct publisher *publisher, struct request *requests, struct error *err)
{
	bool several = (requests && requests->next) || publisher->replies.n > 1 || publisher->waiting.n > 1;
	int failed;

	if (several)
		bus_cork(publisher->bus, true);
	take_requests(publisher, requests);
	failed = publish_replies(publisher, err) || publish_waiting(publisher, err);
	if (several)
		bus_cork(publisher->bus, false);
	return failed ? -1 : 0;
}

static int run_connected(struct publisher *publisher, struct error *err)
{
	struct request *requests;
	int timeout_ms;
	bool more;

	if (publisher->broken) {
		*err = publisher->broken_by;
		return -1;
	}
	if (read_frames(publisher, err))
		return -1;
	take_inbox(publisher, &requests);
	if (publish_all(publisher, requests, err))
		return -1;
	drop_replies(publisher, REPLIES_HELD_MAX);
	more = !publisher->blocked &&
	       (publisher->replies.head || (publisher->waiting.head && !window_is_full(&publisher->window)));
	timeout_ms = requests_expire(&publisher->requests, publisher->bus, IDLE_POLL_MS);
	if (!more)
		wait_for_work(publisher, timeout_ms);
	else if (clock_ms() < publisher->refused_until_ms)
		wait_for_work(publisher, clock_left_ms(publisher->refused_until_ms));
	return 0;
}

static void *publisher_main(void *arg)
{
	struct publisher *publisher = arg;
	int backoff_ms = BACKOFF_FIRST_MS;
	int64_t connect_at_ms = 0;
	struct request *requests;
	struct error err;

	inbox_begin_turn(&publisher->inbox);
	while (!finished(publisher)) {
		atomic_store(&publisher->progress_ms, clock_ms());
		if (atomic_load(&publisher->up)) {
			if (run_connected(publisher, &err))
				lost(publisher, &err);
			continue;
		}
		take_inbox(publisher, &requests);
		take_requests(publisher, requests);
		/* Who asked may still be connected: the consumer's connection is another one, and up before this one at times. */
		drop_replies(publisher, atomic_load(&publisher->stop_deadline_ms) ? 0 : REPLIES_HELD_MAX);
		if (clock_ms() < connect_at_ms) {
			wait_for_work(publisher, clock_left_ms(connect_at_ms));
			continue;
		}
		if (connect_once(publisher, &err) == 0) {
			backoff_ms = BACKOFF_FIRST_MS;
			continue;
		}
		log_line(LOG_WARN, "publisher_connect_failed", "%s", err.text);
		connect_at_ms = clock_ms() + clock_jitter_ms(backoff_ms);
		backoff_ms = backoff_ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : backoff_ms * 2;
	}
	inbox_end_turn(&publisher->inbox);
	log_flush();
	return NULL;
}

/* ---- for other threads ---- */

static bool has_backlog(const struct publisher *publisher)
{
	return publisher->replies.head || publisher->waiting.head;
}

/*
 * Waking the thread is most of what a small message costs. So whoever hands one over sends it, with what else is there, unless that could
 * take time: then, and where more waits already than is known to have room, it is the thread's. False: there is something left for it.
 */
static bool send_now(void *arg)
{
	struct publisher *publisher = arg;
	bool time_is_kept = publisher->requests.in_flight > 0;
	struct request *requests;

	if (!atomic_load(&publisher->up) || publisher->blocked || publisher->broken || has_backlog(publisher) ||
		!bus_has_room(publisher->bus, inbox_bytes(&publisher->inbox)))
		return false;
	take_inbox(publisher, &requests);
	publisher->broken = publish_all(publisher, requests, &publisher->broken_by) != 0;
	return !publisher->broken && !has_backlog(publisher) && (time_is_kept || !publisher->requests.in_flight);
}

static void send_or_leave(struct publisher *publisher)
{
	inbox_send(&publisher->inbox, send_now, publisher);
}

void publisher_count(void)
{
	metrics_register(publisher_metrics, ARRAY_LEN(publisher_metrics));
	requests_count();
}

struct publisher *publisher_start(const char *urls, const char *connection_name, struct error *err)
{
	struct bus *bus = bus_new(urls, connection_name, err);
	struct publisher *publisher;

	if (!bus)
		return NULL;
	publisher = must_zalloc(sizeof(*publisher));
	publisher->bus = bus;
	publisher->progress_ms = clock_ms();
	inbox_init(&publisher->inbox);
	outgoing_queue_init(&publisher->waiting);
	outgoing_queue_init(&publisher->replies);
	requests_init(&publisher->requests);
	bus_start_thread(&publisher->thread, publisher_main, publisher);
	return publisher;
}

void publisher_send(struct publisher *publisher, struct outgoing *out)
{
	inbox_add(&publisher->inbox, out);
	send_or_leave(publisher);
}

void publisher_hold(struct publisher *publisher, bool held)
{
	inbox_hold(held);
	send_or_leave(publisher);
}

void publisher_request(struct publisher *publisher, const struct rpc_request *wanted, rpc_done_fn *done, void *arg)
{
	inbox_add_request(&publisher->inbox, request_new(wanted, done, arg));
	send_or_leave(publisher);
}

bool publisher_is_up(struct publisher *publisher)
{
	return atomic_load(&publisher->up);
}

void publisher_watch(struct publisher *publisher, int64_t limit_ms)
{
	if (clock_ms() - atomic_load(&publisher->progress_ms) > limit_ms)
		bus_interrupt(publisher->bus);
}

void publisher_stop(struct publisher *publisher, int64_t deadline_ms)
{
	struct request *requests;

	if (!publisher)
		return;
	atomic_store(&publisher->stop_deadline_ms, deadline_ms > 0 ? deadline_ms : 1);
	inbox_wake(&publisher->inbox);
	pthread_join(publisher->thread, NULL);
	bus_close(publisher->bus, clock_left_ms(deadline_ms) + 1);
	atomic_store(&publisher->up, false);
	window_empty(&publisher->window, &publisher->waiting);
	take_inbox(publisher, &requests);
	take_requests(publisher, requests);
	requests_fail_all(&publisher->requests, "stopping");
	while (publisher->waiting.head)
		outgoing_end(outgoing_queue_take(&publisher->waiting), false);
	drop_replies(publisher, 0);
	requests_release(&publisher->requests);
	bus_free(publisher->bus);
	inbox_release(&publisher->inbox);
	free(publisher);
}
