/*
 * Which calls are to fail, for libraries that the tests put before a program (LD_PRELOAD). The environment says it:
 *
 *   FAIL_CALLS=PQflush@3/before,amqp_basic_ack@1/after    the 3rd call of the one, the first of the other
 *   FAIL_REPORT=/path                                     gets "fired NAME N HOW", and at the end "calls NAME N" for each
 *
 * Only in a process whose name begins with "garrison": not in what starts it, nor in its children.
 */
#ifndef PRELOAD_PLAN_H
#define PRELOAD_PLAN_H

#include <stdatomic.h>
#include <stdbool.h>

enum fault { FAULT_NONE, FAULT_BEFORE, FAULT_AFTER, FAULT_ERROR };

/* A function whose calls are counted; each wrapper has one of its own. */
struct counted {
	const char *label;
	atomic_long calls;
	atomic_bool listed;
	struct counted *next;
};

/* Counts a call, and says whether and how it is to fail. Any thread. */
enum fault plan_next(struct counted *counted);

#endif
