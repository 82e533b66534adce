#include <pthread.h>
#include <string.h>

#include "check.h"
#include "metrics.h"

static struct metric counted[] = {
	{ .name = "things_total{kind=\"a\"}", .help = "Things", .value = 2 },
	{ .name = "things_total{kind=\"b\"}", .help = "Things", .value = 3 },
	{ .name = "lag_seconds", .help = "Behind\nby", .kind = METRIC_GAUGE, .scale = 0.001 },
};

static void *count_much(void *histogram)
{
	for (int i = 0; i < 10000; i++) {
		metric_add(&counted[0], 1);
		histogram_add(histogram, i * 100);
	}
	return NULL;
}

static void metrics_are_prometheus_text(void)
{
	static struct histogram histogram;
	CLEANUP(text_release) struct text out = { 0 };
	pthread_t threads[2];

	metrics_register(counted, ARRAY_LEN(counted));
	metric_set(&counted[2], 1500);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, count_much, &histogram), 0);
	metrics_write(&out); /* while they count */
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	text_reset(&out);
	metrics_write(&out);
	CHECK_HAS(out.bytes, "# HELP garrison_things_total Things\n# TYPE garrison_things_total counter\n"
			     "garrison_things_total{kind=\"a\"} 20002\ngarrison_things_total{kind=\"b\"} 3\n");
	CHECK_HAS(out.bytes, "# HELP garrison_lag_seconds Behind\\nby\n# TYPE garrison_lag_seconds gauge\n"
			     "garrison_lag_seconds 1.5\n");
	CHECK_HAS(out.bytes, "\nprocess_resident_memory_bytes ");
	CHECK_HAS(out.bytes, "\nprocess_open_fds ");
	CHECK_HAS(out.bytes, "\nprocess_cpu_seconds_total ");
	CHECK_HAS(out.bytes, "\nprocess_start_time_seconds 1");
	text_reset(&out);
	metrics_histogram(&out, "took_seconds", "lane=\"rpc\"", &histogram);
	CHECK_HAS(out.bytes, "garrison_took_seconds_bucket{lane=\"rpc\",le=\"0.0001\"} 4\n");
	CHECK_HAS(out.bytes, "garrison_took_seconds_bucket{lane=\"rpc\",le=\"0.001\"} 22\n");
	CHECK_HAS(out.bytes, "garrison_took_seconds_bucket{lane=\"rpc\",le=\"1\"} 20000\n");
	CHECK_HAS(out.bytes, "garrison_took_seconds_bucket{lane=\"rpc\",le=\"+Inf\"} 20000\n");
	CHECK_HAS(out.bytes, "garrison_took_seconds_sum{lane=\"rpc\"} 9999.000000\n");
	CHECK_HAS(out.bytes, "garrison_took_seconds_count{lane=\"rpc\"} 20000\n");
}

static const struct check_test tests[] = {
	CHECK_TEST(metrics_are_prometheus_text),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
