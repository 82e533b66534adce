/* What the tick service counts. */
#ifndef TICK_METRICS_H
#define TICK_METRICS_H

#include "metrics.h"

enum {
	METRIC_TICKS,
	METRIC_SESSIONS_ADVANCED,
	METRIC_STALE,
	METRIC_LOST_FOUND,
	METRIC_UNREADABLE,
	METRIC_QUEUED,
	METRIC_LAG,
	TICK_METRIC_COUNT
};

extern struct metric tick_metrics[TICK_METRIC_COUNT];

#endif
