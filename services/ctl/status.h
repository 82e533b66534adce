/* The state of a fleet at one moment, as the broker, the database and the cache tell it. */
#ifndef GARRISON_CTL_STATUS_H
#define GARRISON_CTL_STATUS_H

#include "kv.h"
#include "pg.h"
#include "text.h"
#include "topology/management.h"

#define STATUS_SERVICES_MAX 32

/* Figures of one queue, or the sum of several. */
struct queue_status {
	int64_t ready, in_flight, consumers;
	double in_rate, out_rate; /* messages a second */
	int64_t undelivered;	  /* expired and not dead-lettered yet: those that stay have nowhere to go */
};

struct service_status {
	const char *name;
	struct queue_status durable, requests, retrying, dead;
};

/* What is asked of one server; error.code is CODE_OK when it answered. */
struct status {
	struct error broker, database, cache;
	struct service_status services[STATUS_SERVICES_MAX];
	size_t n_services;
	/* database */
	int64_t sessions;     /* active auto-sessions; an estimate when there are many */
	int64_t due_sessions; /* of those, due now; at most STATUS_DUE_MAX are counted */
	double overdue_s;     /* of the one that has been due longest */
	int64_t pending_fights, failed_fights;
	/* cache */
	int64_t queued_ticks;
	int64_t dirty, in_work, set_aside; /* characters to back up: waiting, taken by a worker, put off */
	double oldest_dirty_s;		   /* at most so old; negative: nobody knows */
};
#define STATUS_DUE_MAX 100000

/* Where the figures come from. */
struct status_sources {
	struct management *management;
	struct pg *pg;
	struct kv *kv;
};

/* Asks all three servers; one that does not answer leaves its error. */
void status_read(const struct status_sources *sources, struct status *status);

/* Asks the broker alone; everything else is zero. */
void status_read_broker(struct management *management, struct status *status);

/* As JSON, and as lines for people: colour says whether escape codes for it may be used. */
void status_write(const struct status *status, struct text *out);
void status_show(const struct status *status, bool colour, struct text *out);

#endif
