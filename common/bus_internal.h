/* What the files of the bus share; nobody else includes it. */
#ifndef GARRISON_BUS_INTERNAL_H
#define GARRISON_BUS_INTERNAL_H

#include <amqp.h>
#include <pthread.h>

#include "bus.h"
#include "scratch.h"
#include "text.h"

#define BUS_HEADERS_MAX 64
/* Of these, the most that are only the sender's own; what comes after them is dropped. */
#define BUS_OTHER_HEADERS_MAX 32

struct bus_host {
	char *host, *user, *password, *vhost;
	int port;
	bool tls;
};

#define NOTICE_NAME_MAX 256 /* a short string's 255 bytes and a NUL */

struct bus {
	char *connection_name;
	struct bus_host *hosts;
	size_t n_hosts, current;
	amqp_connection_state_t connection; /* NULL when closed */
	pthread_mutex_t watch;		    /* guards watched_fd, the one thing other threads touch */
	int watched_fd;			    /* a dup of the socket, for bus_interrupt */
	uint64_t published;		    /* sequence number of the last publication on BUS_MAIN */
	int64_t kept_alive_ms;
	char *asked; /* the queue of the last bus_ask_queue; the probe channel answers in order, one at a time */
	bool probe_open;
	char name[NOTICE_NAME_MAX]; /* the queue or the consumer of the last notice */
	/* The message being put together from its frames. */
	enum bus_event_kind assembling; /* BUS_NOTHING when none */
	struct bus_delivery delivery;
	struct bus_header headers[BUS_HEADERS_MAX];
	struct scratch strings;
	struct text body;
	uint64_t body_expected;
};

/* Drops the connection without a word. */
void bus_disconnect(struct bus *bus);
/* Fills err from the outcome of the library's last synchronous call; a channel the broker closed is opened again. 0/-1. */
int bus_check_reply(struct bus *bus, int channel, amqp_rpc_reply_t reply, struct error *err, const char *what);
/* Copies a property or name into the bus's memory of this message; NULL for an empty one. */
const char *bus_copy(struct bus *bus, amqp_bytes_t bytes);
/* Copies properties (and headers) into the delivery being put together. */
void bus_read_properties(struct bus *bus, const amqp_basic_properties_t *properties);
/* NULL becomes an empty string. */
amqp_bytes_t bus_bytes(const char *text);
/* Headers as an AMQP table over `entries` (n of them). */
amqp_table_t bus_table(const struct bus_header *headers, size_t n, amqp_table_entry_t *entries);

#endif
