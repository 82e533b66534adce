/*
 * The publisher: a connection of its own, through which everything goes out: replies, retried and dead copies, events, requests to other
 * services and their answers; and its thread. Other threads hand messages over and are told the end. What can be sent without
 * waiting is sent by whoever hands it over; the thread does the rest.
 */
#ifndef GARRISON_PUBLISHER_H
#define GARRISON_PUBLISHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "error.h"

struct publisher;

/* How a message to be published is treated. */
enum promise {
	PROMISE_NONE, /* replies: sent once, not mandatory; while the connection is down they wait, but not too many and not past a stop */
	PROMISE_CONFIRM, /* kept, and published again after a reconnect or refusal, until the broker has confirmed it */
	PROMISE_HEARD,	 /* events: the same, but kept as well when no queue takes it; mandatory */
	PROMISE_ONCE /* sent once: confirmed, or told at once that it was refused, returned or cut off (it may have arrived) */
};

/*
 * A message handed over: made by outgoing_new() in one piece of memory, freed by the publisher. done (may be NULL) is called once
 * on the publisher's thread and must not block: after the confirm (true), or when the publisher is stopped before (false), or a
 * PROMISE_ONCE was not kept (false).
 */
struct outgoing {
	struct outgoing *next; /* for the holder's own lists until handed over */
	enum promise promise;
	bool mandatory;
	const char *exchange;
	const char *routing_key;
	const char *body;
	size_t body_len;
	const char *type;
	const char *message_id;
	const char *correlation_id;
	const char *reply_to;
	const char *expiration;
	struct bus_header *headers; /* at most n_headers, filled by outgoing_header() */
	size_t n_headers, max_headers;
	void (*done)(void *arg, bool confirmed);
	void *arg;
	bool returned; /* private: no queue took it */
	char *room;    /* private: free bytes behind the struct */
	size_t room_left;
};

/* A message with room for text_size bytes of strings and body, and max_headers headers. The caller owns it until handed over. */
struct outgoing *outgoing_new(size_t text_size, size_t max_headers);
void outgoing_free(struct outgoing *out);
/* Copies into the message's own room; NULL stays NULL. BUG() when text_size was too small. */
const char *outgoing_text(struct outgoing *out, const char *text);
const char *outgoing_bytes(struct outgoing *out, const char *bytes, size_t len);
/* Appends a header; text copied, or NULL for a number. */
void outgoing_header(struct outgoing *out, const char *name, const char *text, int64_t number);

/* Makes its counters part of /metrics. At start, once. */
void publisher_count(void);
/* Starts the thread; it connects by itself, again and again. urls outlives it. NULL: err (a bad URL). Main thread. */
struct publisher *publisher_start(const char *urls, const char *connection_name, struct error *err);
/* Publishes what is left until the deadline, then ends the thread and frees; what was not confirmed is told so. Main thread. */
void publisher_stop(struct publisher *publisher, int64_t deadline_ms);
/* Takes the message over; never waits for the broker. Any thread. */
void publisher_send(struct publisher *publisher, struct outgoing *out);
/*
 * Between true and false, what this thread sends waits for the rest of it (or for another thread's), to leave together: fewer wake-ups,
 * fewer segments. Any thread; not for longer than it takes to hand over what is at hand.
 */
void publisher_hold(struct publisher *publisher, bool held);

bool publisher_is_up(struct publisher *publisher);
/* Breaks a connection that has made no progress for limit_ms (a frozen peer). Called by the watchdog. */
void publisher_watch(struct publisher *publisher, int64_t limit_ms);

/* A request to another service. Strings are copied. */
struct rpc_request {
	const char *routing_key; /* "<service>.<command>" */
	const char *body;
	size_t body_len;
	const char *message_id;	 /* may be NULL */
	const char *traceparent; /* may be NULL */
	const char *client;	 /* g-client; may be NULL */
	int timeout_ms;
};

/*
 * The end of a request, told once, on the publisher's thread or within publisher_request(); must not block. CODE_OK: body is the whole
 * reply as it came ({"ok":…}), valid during the call. CODE_TIMEOUT: no reply in time (a late one is counted and dropped).
 * CODE_UNAVAILABLE: nobody consumes there, no such queue, or the broker is lost; body is NULL, message says which.
 */
typedef void rpc_done_fn(void *arg, enum code code, const char *body, size_t body_len, const char *message);

/* Sends a request; `expiration` and g-deadline are set from timeout_ms. Always ends in one call of done. Any thread. */
void publisher_request(struct publisher *publisher, const struct rpc_request *request, rpc_done_fn *done, void *arg);
/* The same, waiting. 0 and *reply (the caller frees) with the whole reply text; -1 timeout or unavailable. Any other thread. */
int publisher_request_wait(struct publisher *publisher, const struct rpc_request *request, char **reply,
	size_t *reply_len, struct error *err);
/* The process's publisher, for fronts and timers; NULL before service_main has started it. */
struct publisher *service_publisher(void);

#endif
