/* What the gateway counts. */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "metrics.h"
#include "route.h"

enum gateway_metric {
	CONNECTIONS_OPEN,
	CONNECTIONS_ACCEPTED,
	CONNECTIONS_REFUSED,
	CONNECTIONS_CUT,
	EXCHANGES_IN_FLIGHT,
	BODY_BYTES_HELD,
	GATEWAY_METRICS
};
extern struct metric gateway_metrics[GATEWAY_METRICS];

/* Counts an answered request; route is NULL where none was found. Any thread. */
void gateway_metrics_request(const struct route *route, unsigned status, int64_t us);
/* At start, before any request; and at the end. */
void gateway_metrics_init(void);
void gateway_metrics_release(void);
/* Writes requests and their durations by route. */
void gateway_metrics_write(struct text *out);

#endif
