/*
 * What the publisher's files share: the thread in publisher.c, its connection in publisher_link.c, requests and their answers in
 * requests.c.
 */
#ifndef GARRISON_PUBLISHER_INTERNAL_H
#define GARRISON_PUBLISHER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "metrics.h"
#include "publisher.h"

#define REQUESTS_MAX 16384
#define CONFIRM_WINDOW 256

/* A first-in first-out list of messages. */
struct outgoing_queue {
	struct outgoing *head, **tail;
	size_t n;
};

struct sent {
	uint64_t sequence;
	struct outgoing *out; /* NULL once ended */
};

/* The publications not yet confirmed, oldest first. */
struct window {
	struct sent sent[CONFIRM_WINDOW];
	size_t first, n;
};

/* What is handed over, until somebody takes it; and the turn at the connection, which one thread has at a time. */
struct inbox {
	pthread_mutex_t turn;
	pthread_mutex_t mutex; /* guards what follows */
	struct outgoing_queue messages;
	struct request *requests_head, **requests_tail;
	size_t bytes; /* of all of these, roughly */
	bool woken;   /* and the publisher's thread has not begun to look */
	int wake_fd;
};

/* inbox.c. BUG()s without a descriptor. */
void inbox_init(struct inbox *inbox);
void inbox_release(struct inbox *inbox);
/* Take the message or request over; inbox_send() is to follow. Any thread. */
void inbox_add(struct inbox *inbox, struct outgoing *out);
void inbox_add_request(struct inbox *inbox, struct request *request);
/* Everything that is in it. With the turn. */
void inbox_take(struct inbox *inbox, struct outgoing_queue *messages, struct request **requests);
bool inbox_is_empty(struct inbox *inbox);
size_t inbox_bytes(struct inbox *inbox);
/* What this thread adds from now on is not sent before it lets go, unless by another. Any thread. */
void inbox_hold(bool held);
/*
 * Has what is in it sent, on this thread, by send(), which takes it all and has the turn meanwhile; when another thread has the turn, that
 * one will see to it. Where send() says false, or new things come and come, the publisher's thread is woken for the rest. Any thread.
 */
void inbox_send(struct inbox *inbox, bool (*send)(void *arg), void *arg);
/* Wakes the publisher's thread, or has it look once more. Any thread. */
void inbox_wake(struct inbox *inbox);
/* The publisher's thread has the turn from begin to end, but for inbox_wait(). */
void inbox_begin_turn(struct inbox *inbox);
void inbox_end_turn(struct inbox *inbox);
/* Gives the turn away until something is left to this thread, other_fd (-1: none) can be read, or the time is up. */
void inbox_wait(struct inbox *inbox, int other_fd, int timeout_ms);

/* outgoing.c: lists of messages. take BUG()s on an empty one. */
void outgoing_queue_init(struct outgoing_queue *queue);
void outgoing_queue_add(struct outgoing_queue *queue, struct outgoing *out);
struct outgoing *outgoing_queue_take(struct outgoing_queue *queue);
/* Takes all that is in from, in order, behind what is in queue. */
void outgoing_queue_move(struct outgoing_queue *queue, struct outgoing_queue *from);
/* The bytes of its strings, headers and body. */
size_t outgoing_size(const struct outgoing *out);
/* Tells a message's end and frees it. */
void outgoing_end(struct outgoing *out, bool confirmed);

/* confirms.c. The place for one more publication, which must be free; the caller fills in the sequence. */
struct sent *window_add(struct window *window, struct outgoing *out);
bool window_is_full(const struct window *window);
/*
 * Takes out what a confirm (or refusal) names: what the broker has taken responsibility for is added to confirmed, with the events that
 * it had returned before; what it refused, or else had returned, to refused.
 */
void window_settle(struct window *window, uint64_t tag, bool multiple, bool confirm, struct outgoing_queue *confirmed,
	struct outgoing_queue *refused);
/* Marks the publication that was returned as unroutable; NULL when none is known. */
const struct outgoing *window_return(struct window *window, const struct bus_delivery *returned);
/* Takes everything out, in order, in front of what waits; what may be published once only, and what waits of it, is ended. */
void window_empty(struct window *window, struct outgoing_queue *waiting);

/*
 * Who listens to which events, by routing key; zeroed at first. With the turn. Until an event was found to be heard, and once one was not,
 * those that come are held, and one at a time is sent for them.
 */
struct audience {
	struct hearing *hearings;
	size_t n; /* held */
};

/* audience.c. False when the message is to be sent at once; else it is held. */
bool audience_hold(struct audience *audience, struct outgoing *out);
/* Adds to waiting what is to be sent to ask for what is held and not asked for yet. */
void audience_ask(struct audience *audience, struct outgoing_queue *waiting);
/*
 * The broker has answered an event, which a queue took or not. What is held for the answer is added to waiting, or ended as kept; how
 * many events turned out unheard, this one included.
 */
size_t audience_answer(
	struct audience *audience, const struct outgoing *out, bool heard, struct outgoing_queue *waiting);
/* There will be no answers to what was asked: ask again. */
void audience_lost(struct audience *audience);
/* Ends what is held as not kept, and frees all. */
void audience_release(struct audience *audience);

/* A request on its way; its slot and serial make the correlation id, so that an answer to an earlier one is told apart. */
struct request {
	struct request *next; /* in the inbox, then in the list of free slots */
	rpc_done_fn *done;
	void *arg;
	int64_t sent_ms, deadline_ms;
	const char *routing_key, *message_id, *traceparent, *client; /* behind the struct, like the body */
	const char *body;
	size_t body_len;
};

struct slot {
	struct request *request; /* NULL when free */
	bool held;		 /* not sent yet: the broker is being asked whether anybody consumes by now */
	uint32_t serial;
	uint32_t next_free;
};

/* What is known of who consumes where; asked of the broker at most once a second, and only for queues in use. */
struct target {
	char queue[256];
	uint32_t consumers;
	uint32_t waiting; /* messages that nobody has taken */
	bool exists;
	bool known;
	int64_t asked_ms;
};
#define TARGETS_MAX 32

struct requests {
	struct slot *slots;
	uint32_t n_slots, first_free;
	size_t in_flight;
	uint32_t epoch; /* of the connection: an answer to a request of an earlier one is late */
	int64_t next_scan_ms;
	struct target targets[TARGETS_MAX];
	size_t n_targets;
};

/* All with the turn at the connection; the publisher's thread but for requests_send(). */
/* Once, before the thread; requests is zeroed. */
void requests_init(struct requests *requests);
void requests_release(struct requests *requests);
/* Makes its counters part of /metrics. At start, once, the main thread. */
void requests_count(void);
/* A new connection: begins to consume direct replies. 0/-1. */
int requests_connected(struct requests *requests, struct bus *bus, struct error *err);
/* Ends every request in flight with unavailable. */
void requests_fail_all(struct requests *requests, const char *why);
/* Publishes one request, holds it for word of its queue where nobody consumed, or ends it. */
void requests_send(struct requests *requests, struct bus *bus, struct request *request);
/* A delivery or return on BUS_PLAIN. */
void requests_answer(struct requests *requests, const struct bus_delivery *delivery, bool returned);
/* What the broker said of a queue (BUS_QUEUE_INFO, BUS_NO_QUEUE): what was held for that is sent or ended. */
void requests_queue_info(struct requests *requests, struct bus *bus, const struct bus_event *info);
/* Ends what is overdue; the milliseconds until the next one may be, at most limit_ms. */
int requests_expire(struct requests *requests, struct bus *bus, int limit_ms);
/* A request with its strings and body in one piece of memory. Any thread. */
struct request *request_new(const struct rpc_request *wanted, rpc_done_fn *done, void *arg);
/* Ends one request that was never sent. */
void request_end(struct request *request, enum code code, const char *message);

/* What is counted, for /metrics. */
enum publisher_metric {
	PUBLISHED,
	CONFIRMED,
	REFUSED_AGAIN,
	CONNECTS,
	UNHEARD,
	REPLIES_DROPPED,
	WAITING,
	PUBLISHER_METRICS
};
extern struct metric publisher_metrics[PUBLISHER_METRICS];

struct publisher {
	struct bus *bus;
	pthread_t thread;
	atomic_bool up;
	_Atomic int64_t progress_ms, stop_deadline_ms; /* 0 while not stopping */
	struct inbox inbox;

	/* Of whoever has the turn. */
	struct outgoing_queue waiting; /* with confirm, not sent or to be sent again */
	struct outgoing_queue replies;
	struct audience audience; /* holds events */
	struct window window;
	int64_t refused_until_ms;
	bool blocked;
	bool broken; /* and the thread does not know it yet */
	struct error broken_by;
	struct requests requests;
};

/* publisher_link.c; with the turn, and all but the sending by the publisher's thread. 0, or -1 with err when the connection is gone. */
int publisher_connect(struct publisher *publisher, struct error *err);
/* Everything that was on its way waits again, or is ended. */
void publisher_lost(struct publisher *publisher, const struct error *err);
/* What the broker has sent, all of it. */
int publisher_read(struct publisher *publisher, struct error *err);
/* Some of what waits, unless the broker takes nothing now. */
int publisher_send_waiting(struct publisher *publisher, struct error *err);
int publisher_send_replies(struct publisher *publisher, struct error *err);

#endif
