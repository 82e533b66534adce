#include "gateway_metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"

#define STATUS_CLASSES 6

struct metric gateway_metrics[GATEWAY_METRICS] = {
	[CONNECTIONS_OPEN] = { "http_connections", "Open connections", METRIC_GAUGE, 0, 0 },
	[CONNECTIONS_ACCEPTED] = { "http_connections_total", "Connections accepted", METRIC_COUNTER, 0, 0 },
	[CONNECTIONS_REFUSED] = { "http_connections_refused_total", "Connections refused: too many from one address",
		METRIC_COUNTER, 0, 0 },
	[CONNECTIONS_CUT] = { "http_connections_cut_total", "Connections cut: too slow", METRIC_COUNTER, 0, 0 },
	[EXCHANGES_IN_FLIGHT] = { "http_requests_in_flight", "Requests that wait for an answer", METRIC_GAUGE, 0, 0 },
	[BODY_BYTES_HELD] = { "http_body_bytes", "Bytes of request bodies held", METRIC_GAUGE, 0, 0 },
};

struct route_metrics {
	_Atomic int64_t by_class[STATUS_CLASSES];
	struct histogram duration;
};

/* One a route, and one for what has none. */
static struct route_metrics *by_route;

void gateway_metrics_init(void)
{
	by_route = must_zalloc((n_routes + 1) * sizeof(*by_route));
}

void gateway_metrics_release(void)
{
	free(TAKE(by_route));
}

void gateway_metrics_request(const struct route *route, unsigned status, int64_t us)
{
	struct route_metrics *metrics = &by_route[route ? (size_t)(route - routes) : n_routes];

	atomic_fetch_add_explicit(&metrics->by_class[status / 100 % STATUS_CLASSES], 1, memory_order_relaxed);
	histogram_add(&metrics->duration, us);
}

static void labels_of(size_t i, char *buffer, size_t size)
{
	snprintf(buffer, size, "method=\"%s\",route=\"%s\"", i < n_routes ? routes[i].method : "",
		i < n_routes ? routes[i].path : "none");
}

void gateway_metrics_write(struct text *out)
{
	char labels[160];

	metrics_head(out, "http_requests_total", "Requests answered, by route and class of status", "counter");
	for (size_t i = 0; by_route && i <= n_routes; i++)
		for (int class = 1; class < STATUS_CLASSES; class ++) {
			int64_t n = atomic_load_explicit(&by_route[i].by_class[class], memory_order_relaxed);

			if (!n)
				continue;
			labels_of(i, labels, sizeof(labels));
			text_printf(out, "garrison_http_requests_total{%s,status=\"%dxx\"} %lld\n", labels, class,
				(long long)n);
		}
	metrics_head(out, "http_request_seconds", "From a request's headers to the end of its answer", "histogram");
	for (size_t i = 0; by_route && i <= n_routes; i++) {
		labels_of(i, labels, sizeof(labels));
		metrics_histogram(out, "http_request_seconds", labels, &by_route[i].duration);
	}
}
