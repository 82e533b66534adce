/*
 * When ticks are due: pure arithmetic on PostgreSQL's clock, in Unix microseconds.
 *
 * A session's grid is started_at + k × interval, for every whole k. next_tick_at is the due time that is fixed; when TICK_INTERVAL
 * was changed it may lie beside the present grid, and counts all the same. Every due time behind it is on the present grid.
 */
#ifndef TICK_SCHEDULE_H
#define TICK_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
	int64_t started_us;
	int64_t due_us; /* next_tick_at */
	int64_t interval_us;
	int64_t max_us; /* AUTO_SESSION_MAX, 0 for no end: later due times than started_us + max_us are not credited */
};

/* What has become due. */
struct advance {
	int64_t passed;	 /* due times passed; 0 only where the session ended before the first of them */
	int64_t last_us; /* the last of them */
	int64_t next_us; /* the first due time after now */
	bool ended;	 /* older than max_us, and nothing left to credit */
};

/* The first time of the grid after t_us. Any thread. */
int64_t schedule_after(const struct schedule *schedule, int64_t t_us);
/* The i-th due time from due_us on, counted from 0. Any thread. */
int64_t schedule_due(const struct schedule *schedule, int64_t i);
/* Writes what is due at now_us; false, and *out untouched, when nothing is yet. Any thread. */
bool schedule_advance(const struct schedule *schedule, int64_t now_us, struct advance *out);

#endif
