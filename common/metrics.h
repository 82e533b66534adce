/* Counters, gauges and histograms, written by any thread and read as Prometheus text. */
#ifndef GARRISON_METRICS_H
#define GARRISON_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

/* A number with a name, in a static table of whoever counts. */
struct metric {
	const char *name; /* without the prefix "garrison_"; may end with labels: "deaths_total{lane=\"rpc\"}" */
	const char *help;
	enum metric_kind kind;
	_Atomic int64_t value;
	double scale; /* the value shown is value × scale; 0 means 1 (use 0.001 for milliseconds shown as seconds) */
};

/* Adds to, or sets, a metric. Any thread, no lock. */
static inline void metric_add(struct metric *metric, int64_t n)
{
	atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}
static inline void metric_set(struct metric *metric, int64_t value)
{
	atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}
static inline int64_t metric_get(struct metric *metric)
{
	return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

/* Durations in fixed buckets from 100 µs to 60 s. */
#define HISTOGRAM_BUCKETS 18
struct histogram {
	_Atomic int64_t buckets[HISTOGRAM_BUCKETS + 1]; /* the last is +Inf */
	_Atomic int64_t sum_us;
};
void histogram_add(struct histogram *histogram, int64_t us);

/*
 * Makes a table of metrics part of the output; rows of one name stand together. At start; the table stays. Any thread.
 */
void metrics_register(struct metric *table, size_t n);
/* Writes # HELP and # TYPE lines; like the name below, this one is without the prefix. Any thread. */
void metrics_head(struct text *out, const char *name, const char *help, const char *type);
/* Writes one histogram's series, in seconds, with the given labels (`command="x"`, or ""). Any thread. */
void metrics_histogram(struct text *out, const char *name, const char *labels, struct histogram *histogram);
/* Writes every registered metric, and the process's own (resident memory, descriptors, CPU seconds, start time). */
void metrics_write(struct text *out);

#endif
