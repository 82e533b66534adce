/* A delivery on its way through this process: what the broker must be told of it, and when. */
#ifndef GARRISON_JOB_H
#define GARRISON_JOB_H

#include <stdatomic.h>

#include "bus.h"
#include "call.h"
#include "service.h"

/* What the broker is told of a delivery in the end. */
enum verdict {
	VERDICT_ACK,
	VERDICT_REQUEUE,
	VERDICT_NONE /* nothing: it goes back by itself when the channel closes */
};

struct job {
	struct job *next;
	uint64_t epoch; /* of the channel the tag belongs to */
	uint64_t tag;
	size_t size; /* bytes of memory, for the cap on what is held */
	enum verdict verdict;
	unsigned suspects;   /* stores (1 << enum store) that may be out of reach, by how this job failed */
	atomic_int pending;  /* publications to be confirmed before the ack */
	atomic_bool refused; /* one of them was not */
	const struct command *command;
	struct message message;
	size_t n_headers; /* the sender's own headers, kept on copies */
	struct bus_header *headers;
};

/* Where finished jobs go: the listener. */
struct job_sink {
	void (*finished)(void *arg, struct job *job); /* any thread */
	void (*hold)(
		void *arg, bool held); /* as publisher_hold(), of finished jobs; NULL where that makes no difference */
	void *arg;
};

/* Copies a delivery into one piece of memory; freed by job_free(). The consumer's thread. */
struct job *job_new(const struct bus_delivery *delivery, enum lane lane, uint64_t epoch);
void job_free(struct job *job);

/* A request nobody waits for any longer: past its expiration or g-deadline. Any thread. */
bool job_expired(const struct job *job);

/* A request that has spent most of the time it had left in this process, so that an answer would come too late. Any thread. */
bool job_is_late(const struct job *job);

/*
 * Does what the call's outcome asks for: publishes its outbox, its reply, its retried or dead copy, and hands the job to the sink with
 * its verdict once the broker has confirmed what must be confirmed. The call may be released afterwards. Any thread.
 */
void job_settle(struct job *job, struct call *call, const struct job_sink *sink);
/* Ends a job without a copy or effect. */
void job_finish(struct job *job, enum verdict verdict, const struct job_sink *sink);
/* Answers a request that is not run (`unavailable`), and ends it. */
void job_turn_away(struct job *job, const char *why, const struct job_sink *sink);

/* The name of this process in g-worker and the logs; set once at start. */
extern const char *worker_name;

#endif
