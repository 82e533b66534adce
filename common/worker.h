/*
 * The worker pool: a fixed number of handler threads, each with one PostgreSQL and one Redis connection of its own, fed by a queue
 * per command; and the timers' threads, which are the same without a queue.
 */
#ifndef GARRISON_WORKER_H
#define GARRISON_WORKER_H

#include <stdbool.h>

#include "job.h"
#include "service.h"

struct workers;

/* Makes the pool and starts its threads; they connect when first needed. sink outlives it. Main thread. */
struct workers *workers_start(const struct service *service, const struct job_sink *sink);
/* Hands a job over. The consumer's thread. */
void workers_add(struct workers *workers, struct job *job);
/* Takes back every job not begun, as a list; the caller finishes them. Any thread. */
struct job *workers_take_back(struct workers *workers);
/* Jobs begun and not finished, timers' runs included. Any thread. */
size_t workers_busy(struct workers *workers);
/* Timers begin their runs only after this, and not while a store is down. Main thread. */
void workers_start_timers(struct workers *workers);
/* Ends timers after their present run. Main thread. */
void workers_stop_timers(struct workers *workers);
/* Ends all threads that are idle by the deadline; false when a thread was still busy (the process must end). Main thread. */
bool workers_stop(struct workers *workers, int64_t deadline_ms);
/* After workers_stop() and listener_stop(), which asks the pool to its end. Main thread. */
void workers_free(struct workers *workers);

/*
 * Somebody's work failed as if these stores (1 << enum store each) were out of reach: a worker asks them at once, and those that do
 * not answer are down until they do. One lost connection is no outage. Any thread.
 */
void workers_suspect(struct workers *workers, unsigned stores);
/* Bit mask (1 << enum store) of what is down. Any thread. */
unsigned workers_down(struct workers *workers);
/* The stores that have answered lately, by one worker's probe. Starts a probe when one is due; called about every 50 ms. */
void workers_probe(struct workers *workers);

/* Whoever waits behind a batch that takes long gets a thread, also when nobody comes after him. The watchdog. */
void workers_look_again(struct workers *workers);
/* The name of a command or timer that runs past its hard limit, else NULL: then the process must end. The watchdog. */
const char *workers_stuck(struct workers *workers);

/* Opens the service's stores for a thread or for start; either is NULL when not needed. Aborts on a bad URL, checked before. */
struct pg *worker_open_pg(const struct service *service);
struct kv *worker_open_kv(const struct service *service);

#endif
