#ifndef COUNTS_H
#define COUNTS_H

#include "metrics.h"

/* What /metrics shows of this service. Any thread. */
enum count {
	COUNT_MARKS_WAITING,
	COUNT_MARKS_SET_ASIDE,
	COUNT_OLDEST_MARK_AGE,
	COUNT_SAVED,
	COUNT_UNREADABLE,
	COUNT_RESTORED,
	N_COUNTS
};
extern struct metric counts[N_COUNTS];

#endif
