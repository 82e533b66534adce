#include <stdio.h>

#include "service_internal.h"

#define THREADS_DEFAULT 4

struct common_settings common_settings;

static const char *const log_levels[] = { "debug", "info", "warn", "error" };

static const struct field retry_delay_fields[] = {
	FIELD(struct retry_delay, ms, .as = "", .unit = UNIT_MS, .min = 1, .max = INT64_C(86400000)),
};
static const struct schema retry_delay_schema = SCHEMA(struct retry_delay, retry_delay_fields, .name = "delay");

#define MAX_CONCURRENT_TASKS_ROW 3
static struct field common_fields[] = {
	FIELD(struct common_settings, amqp_url, .as = "AMQP_URL", .secret = true,
		.preset = "amqp://guest:guest@127.0.0.1:5672/",
		.help = "RabbitMQ; several URLs, comma-separated, are tried in turn; amqps:// for TLS"),
	FIELD(struct common_settings, redis_url, .as = "REDIS_URL", .secret = true,
		.preset = "redis://127.0.0.1:6379/0",
		.help = "Redis; or redis+sentinel://host:port,host:port/<master>/<db>"),
	FIELD(struct common_settings, database_url, .as = "DATABASE_URL", .secret = true,
		.preset = "postgresql://127.0.0.1:5432/garrison",
		.help = "PostgreSQL: any libpq URI, several hosts included"),
	FIELD(struct common_settings, max_concurrent_tasks, .as = "MAX_CONCURRENT_TASKS", .min = 1, .max = 256,
		.help = "handler threads, each with connections of its own; the prefetch follows from it"),
	FIELD(struct common_settings, command_processing_timeout_ms, .as = "COMMAND_PROCESSING_TIMEOUT",
		.unit = UNIT_MS, .min = 1, .max = INT64_C(3600000), .preset = "10s",
		.help = "a command's soft deadline, unless its table row says another"),
	FIELD(struct common_settings, shutdown_grace_ms, .as = "SHUTDOWN_GRACE", .unit = UNIT_MS,
		.max = INT64_C(3600000), .preset = "25s",
		.help = "how long a stopping worker may finish what is in flight"),
	FIELD(struct common_settings, startup_timeout_ms, .as = "STARTUP_TIMEOUT", .unit = UNIT_MS,
		.max = INT64_C(3600000), .preset = "60s", .help = "how long to wait at start for the servers"),
	FIELD(struct common_settings, admin_addr, .as = "ADMIN_ADDR",
		.help = "host:port of /metrics, /healthz and /readyz; unset: off"),
	FIELD(struct common_settings, log_level, .as = "LOG_LEVEL", .choices = log_levels,
		.n_choices = ARRAY_LEN(log_levels), .preset = "info", .help = "what is logged, one JSON object a line"),
	FIELD(struct common_settings, retry_delays, .as = "RETRY_DELAYS", .of = &retry_delay_schema, .min = 1,
		.max = 16, .preset = "1s,10s,60s,10m",
		.help = "the rungs a failed message waits on; as in the broker's topology"),
	FIELD(struct common_settings, max_attempts, .as = "MAX_ATTEMPTS", .min = 1, .max = 100, .preset = "5",
		.help = "attempts of a message in all, the first included"),
};
static const struct schema common_schema = SCHEMA(struct common_settings, common_fields, .name = "common settings");

const struct schema *common_settings_schema(const struct service *service)
{
	static char threads[16];

	snprintf(threads, sizeof(threads), "%d", service->threads ? service->threads : THREADS_DEFAULT);
	common_fields[MAX_CONCURRENT_TASKS_ROW].preset = threads;
	return &common_schema;
}

int64_t retry_delay_ms(int attempt)
{
	const struct retry_delay *delays = common_settings.retry_delays.items;
	size_t last = common_settings.retry_delays.n - 1, i = (size_t)attempt - 1;

	return delays[i < last ? i : last].ms;
}
