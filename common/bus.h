/*
 * RabbitMQ: one connection with a few channels, owned by one thread. The only file that knows librabbitmq. Nothing here waits for
 * ever: setting up has a time limit, and bus_next() never blocks; the owner polls bus_fd().
 */
#ifndef GARRISON_BUS_H
#define GARRISON_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"

struct bus;

enum bus_channel {
	BUS_MAIN = 1,  /* consuming, or publishing with confirms */
	BUS_PLAIN = 2, /* publishing without confirms, direct replies */
	BUS_PROBE = 3  /* passive declares, which may close their channel */
};

/* A message header; text is NULL for a number. Headers of other types are shown to nobody. */
struct bus_header {
	const char *name;
	const char *text;
	int64_t number;
};

/* A message to publish. Strings may be NULL unless said. */
struct bus_publication {
	const char *exchange;	 /* "" is the default exchange */
	const char *routing_key; /* never NULL */
	const char *body;
	size_t body_len;
	const char *type;
	const char *message_id;
	const char *correlation_id;
	const char *reply_to;
	const char *expiration;	  /* digits: milliseconds */
	const char *content_type; /* NULL: application/json */
	const struct bus_header *headers;
	size_t n_headers;
	bool persistent;
	bool mandatory;
};

enum bus_event_kind {
	BUS_NOTHING,   /* nothing more to read now */
	BUS_DELIVERY,  /* .delivery */
	BUS_CONFIRMED, /* .tag, .multiple: publications confirmed on BUS_MAIN */
	BUS_REJECTED,  /* .tag, .multiple: publications the broker refused */
	BUS_RETURNED, /* .delivery: an unroutable mandatory publication, correlation and ids as published; its confirm still comes */
	BUS_CANCELLED, /* the broker took the consumer .text away (queue deleted, or its leader lost) */
	BUS_CANCEL_OK, /* our cancel of .text is done: nothing more will be delivered to it */
	BUS_BLOCKED,   /* the broker takes no publications (resource alarm) */
	BUS_UNBLOCKED,
	BUS_QUEUE_INFO, /* .text queue, .messages, .consumers: the answer to bus_ask_queue() */
	BUS_NO_QUEUE	/* the queue asked for does not exist */
};

/* A message as delivered or returned; valid until the next call on this bus. Strings are NUL-terminated, NULL when absent. */
struct bus_delivery {
	uint64_t tag;
	int channel;
	bool redelivered;
	const char *consumer_tag;
	const char *exchange;
	const char *routing_key;
	const char *body; /* body_len bytes and a NUL */
	size_t body_len;
	const char *type;
	const char *message_id;
	const char *correlation_id;
	const char *reply_to;
	const char *expiration;
	const char *content_type;
	const struct bus_header *headers;
	size_t n_headers;
};

struct bus_event {
	enum bus_event_kind kind;
	struct bus_delivery delivery;
	uint64_t tag;
	bool multiple;
	const char *text;
	uint32_t messages;
	uint32_t consumers;
};

/* urls: one or more amqp:// or amqps:// URLs, comma-separated. NULL with err invalid_payload for what is no such URL. */
struct bus *bus_new(const char *urls, const char *connection_name, struct error *err);
/* Starts the thread that will own a bus, on a stack that is large enough for all that may be read. Main thread; BUG() when it cannot. */
void bus_start_thread(pthread_t *thread, void *(*run)(void *), void *arg);
/* Closes and frees. NULL is nothing. */
void bus_free(struct bus *bus);
DEFINE_CLEANUP(struct bus *, bus_drop, bus_free)

/*
 * Connects to the next host that answers (each is tried once) and opens the channels; confirms on BUS_MAIN when asked. 0, or -1
 * (unavailable, down = STORE_BROKER; forbidden when the broker refuses the user or vhost). A connection that was open is closed.
 */
int bus_connect(struct bus *bus, bool confirms, int timeout_ms, struct error *err);
/* Closes politely, so that what was sent before is known to have arrived (acks); waits at most timeout_ms. 0: drops it. */
void bus_close(struct bus *bus, int timeout_ms);
bool bus_is_open(const struct bus *bus);
/* The host:port in use, for logs. */
const char *bus_host(const struct bus *bus);
/* Poll it for reading when bus_next() says nothing; -1 when closed. */
int bus_fd(const struct bus *bus);
/* Breaks the connection under whoever is stuck in it. The only call for other threads. */
void bus_interrupt(struct bus *bus);
/* Sends a heartbeat if one is due though nothing was read; for an owner that stopped reading on purpose. 0/-1 connection gone. */
int bus_keep_alive(struct bus *bus);

/* Declarations and checks; each waits for the broker's answer and must not be called while consuming. Args: text or number. */
int bus_declare_exchange(struct bus *bus, const char *name, const char *type, struct error *err);
int bus_declare_queue(struct bus *bus, const char *name, bool durable, const struct bus_header *args, size_t n_args,
	struct error *err); /* conflict: it exists with other arguments */
int bus_bind(struct bus *bus, const char *queue, const char *exchange, const char *key, struct error *err);
int bus_unbind(struct bus *bus, const char *queue, const char *exchange, const char *key, struct error *err);
int bus_delete_queue(struct bus *bus, const char *name, struct error *err);
/* Does the queue exist? 0 and the number of its ready messages; not_found when not. */
int bus_check_queue(struct bus *bus, const char *name, uint32_t *messages, struct error *err);
int bus_check_exchange(struct bus *bus, const char *name, struct error *err);
/* Takes one message without consuming: 1 and the delivery, 0 when the queue is empty, -1 failed. Ack or nack its tag. */
int bus_get(struct bus *bus, const char *queue, struct bus_delivery *delivery, struct error *err);

/* Begins a consumer with a prefetch of its own; waits for the answer. no_ack for direct replies. 0/-1. */
int bus_consume(struct bus *bus, enum bus_channel channel, const char *queue, const char *consumer_tag, int prefetch,
	bool no_ack, struct error *err);
/* Sent without waiting for any answer; 0, or -1 when the connection is gone. */
int bus_cancel(struct bus *bus, const char *consumer_tag);
/* As bus_bind(); what is bound stays. Where the queue is gone the broker closes the channel, and bus_next() fails. */
int bus_bind_again(struct bus *bus, const char *queue, const char *exchange, const char *key);
int bus_ack(struct bus *bus, uint64_t tag, bool multiple);
int bus_nack(struct bus *bus, uint64_t tag, bool requeue);
/* Answered by BUS_QUEUE_INFO or BUS_NO_QUEUE. 1: not sent, an earlier question is still open. */
int bus_ask_queue(struct bus *bus, const char *queue);
/* *sequence (may be NULL) is the number a confirm will name, on BUS_MAIN. 0, or -1 when the connection is gone. */
int bus_publish(struct bus *bus, enum bus_channel channel, const struct bus_publication *publication,
	uint64_t *sequence, struct error *err);

/* So few bytes of what was sent are still on their way that so many more can be sent without waiting. False when it cannot be told. */
bool bus_has_room(const struct bus *bus, size_t bytes);
/*
 * Holds back what is sent until told otherwise, so that several publications leave in as few segments as they fit in; the kernel
 * keeps nothing longer than 200 ms. Best effort.
 */
void bus_cork(struct bus *bus, bool corked);
/* The next thing that the broker sent; BUS_NOTHING at once when there is none. -1 when the connection is gone (err says why). */
int bus_next(struct bus *bus, struct bus_event *event, struct error *err);

#endif
