#include "publisher_internal.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000
#define IDLE_POLL_MS 1000
#define REPLIES_HELD_MAX 10000

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
		else if (!audience_hold(&publisher->audience, out))
			outgoing_queue_add(&publisher->waiting, out);
	}
	metric_set(&publisher_metrics[WAITING],
		(int64_t)(publisher->waiting.n + publisher->window.n + publisher->audience.n));
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
	return clock_ms() >= deadline_ms ||
	       (inbox_is_empty(&publisher->inbox) && !publisher->waiting.n && !publisher->window.n &&
		       !publisher->audience.n && !publisher->replies.n);
}

/* All that is to go out now. Several leave together: each segment costs the broker's reader a turn of its own. */
static int publish_all(struct publisher *publisher, struct request *requests, struct error *err)
{
	audience_ask(&publisher->audience, &publisher->waiting);
	bool several = (requests && requests->next) || publisher->replies.n > 1 || publisher->waiting.n > 1;
	int failed;

	if (several)
		bus_cork(publisher->bus, true);
	take_requests(publisher, requests);
	failed = publisher_send_replies(publisher, err) || publisher_send_waiting(publisher, err);
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
	if (publisher_read(publisher, err))
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
				publisher_lost(publisher, &err);
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
		if (publisher_connect(publisher, &err) == 0) {
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
	audience_release(&publisher->audience);
	drop_replies(publisher, 0);
	requests_release(&publisher->requests);
	bus_free(publisher->bus);
	inbox_release(&publisher->inbox);
	free(publisher);
}
