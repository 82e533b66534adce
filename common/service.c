#include "service.h"

#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin.h"
#include "clock.h"
#include "describe.h"
#include "dispatch.h"
#include "listener.h"
#include "log.h"
#include "naming.h"
#include "publisher.h"
#include "quarantine.h"
#include "settings.h"
#include "version.h"
#include "worker.h"

#define EXIT_USAGE	    64
#define EXIT_UNAVAILABLE    69
#define EXIT_INTERNAL	    70
#define WATCH_EVERY_MS	    250
/* More than a heartbeat's worth of silence from a thread that looks around every second. */
#define PROGRESS_LIMIT_MS   15000
#define CONNECT_LIMIT_MS    5000
#define START_BACKOFF_MS    100
#define START_BACKOFF_MAX_MS 2000
#define LAST_WORDS_MS	    1000
#define SETTINGS_SCRATCH    ((size_t)1 << 20)
#define THREADS_DEFAULT	    4

struct common_settings common_settings;

static const char *const log_levels[] = {"debug", "info", "warn", "error"};

static const struct field retry_delay_fields[] = {
	FIELD(struct retry_delay, ms, .as = "", .unit = UNIT_MS, .min = 1, .max = INT64_C(86400000)),
};
static const struct schema retry_delay_schema = SCHEMA(struct retry_delay, retry_delay_fields, .name = "delay");

#define MAX_CONCURRENT_TASKS_ROW 3
static struct field common_fields[] = {
	FIELD(struct common_settings, amqp_url, .as = "AMQP_URL", .secret = true,
	      .preset = "amqp://guest:guest@127.0.0.1:5672/",
	      .help = "RabbitMQ; several URLs, comma-separated, are tried in turn; amqps:// for TLS"),
	FIELD(struct common_settings, redis_url, .as = "REDIS_URL", .secret = true, .preset = "redis://127.0.0.1:6379/0",
	      .help = "Redis; or redis+sentinel://host:port,host:port/<master>/<db>"),
	FIELD(struct common_settings, database_url, .as = "DATABASE_URL", .secret = true,
	      .preset = "postgresql://127.0.0.1:5432/garrison",
	      .help = "PostgreSQL: any libpq URI, several hosts included"),
	FIELD(struct common_settings, max_concurrent_tasks, .as = "MAX_CONCURRENT_TASKS", .min = 1, .max = 256,
	      .help = "handler threads, each with connections of its own; the prefetch follows from it"),
	FIELD(struct common_settings, command_processing_timeout_ms, .as = "COMMAND_PROCESSING_TIMEOUT", .unit = UNIT_MS,
	      .min = 1, .max = INT64_C(3600000), .preset = "10s",
	      .help = "a command's soft deadline, unless its table row says another"),
	FIELD(struct common_settings, shutdown_grace_ms, .as = "SHUTDOWN_GRACE", .unit = UNIT_MS, .max = INT64_C(3600000),
	      .preset = "25s", .help = "how long a stopping worker may finish what is in flight"),
	FIELD(struct common_settings, startup_timeout_ms, .as = "STARTUP_TIMEOUT", .unit = UNIT_MS,
	      .max = INT64_C(3600000), .preset = "60s", .help = "how long to wait at start for the servers"),
	FIELD(struct common_settings, admin_addr, .as = "ADMIN_ADDR",
	      .help = "host:port of /metrics, /healthz and /readyz; unset: off"),
	FIELD(struct common_settings, log_level, .as = "LOG_LEVEL", .choices = log_levels,
	      .n_choices = ARRAY_LEN(log_levels), .preset = "info", .help = "what is logged, one JSON object a line"),
	FIELD(struct common_settings, retry_delays, .as = "RETRY_DELAYS", .of = &retry_delay_schema, .min = 1, .max = 16,
	      .preset = "1s,10s,60s,10m", .help = "the rungs a failed message waits on; as in the broker's topology"),
	FIELD(struct common_settings, max_attempts, .as = "MAX_ATTEMPTS", .min = 1, .max = 100, .preset = "5",
	      .help = "attempts of a message in all, the first included"),
};
static const struct schema common_schema = SCHEMA(struct common_settings, common_fields, .name = "common settings");

/* The one service this process is, and its parts. */
static struct {
	const struct service *service;
	struct scratch settings_scratch;
	struct publisher *publisher;
	struct listener *listener;
	struct workers *workers;
	atomic_bool running, draining;
	char name[160];
} process;

struct publisher *service_publisher(void)
{
	return process.publisher;
}

/* ---- the command line and settings ---- */

static size_t settings_groups(const struct service *service, struct settings_group groups[2])
{
	groups[0] = (struct settings_group){.schema = &common_schema, .out = &common_settings};
	if (!service->settings)
		return 1;
	groups[1] = (struct settings_group){.schema = service->settings, .out = service->settings_out};
	return 2;
}

static void check_tables(const struct service *service)
{
	static char threads[16];

	snprintf(threads, sizeof(threads), "%d", service->threads ? service->threads : THREADS_DEFAULT);
	common_fields[MAX_CONCURRENT_TASKS_ROW].preset = threads;
	schema_check(&common_schema);
	if (service->settings)
		schema_check(service->settings);
	for (size_t i = 0; i < service->n_commands; i++) {
		const struct command *command = &service->commands[i];

		schema_check(command->request);
		schema_check(command->result);
		if (!command->handle == !command->handle_batch || (command->handle_batch && !command->batch_max))
			BUG("command %s: one handler, and a batch_max for a batch", command->name);
	}
}

static int describe(const struct service *service, bool json)
{
	CLEANUP(text_release) struct text out = {0};
	struct settings_group groups[2];
	size_t n = settings_groups(service, groups);

	if (json)
		describe_json(service, groups, n, &out);
	else
		describe_help(service, groups, n, &out);
	return fwrite(text_str(&out), 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : EXIT_INTERNAL;
}

static int check_urls(struct error *err)
{
	struct error why;
	struct bus *bus CLEANUP(bus_drop) = bus_new(common_settings.amqp_url, "", &why);
	struct kv *kv CLEANUP(kv_drop) = kv_new(common_settings.redis_url, "", &why);

	if (!bus)
		return error_set(err, CODE_INVALID_PAYLOAD, "AMQP_URL: %s", why.text);
	if (!kv)
		return error_set(err, CODE_INVALID_PAYLOAD, "REDIS_URL: %s", why.text);
	if (pg_check_url(common_settings.database_url, &why))
		return error_set(err, CODE_INVALID_PAYLOAD, "DATABASE_URL: %s", why.text);
	return 0;
}

static int load_settings(const struct service *service, int n_arguments, char **arguments, struct error *err)
{
	struct settings_group groups[2];
	size_t n = settings_groups(service, groups);

	scratch_init(&process.settings_scratch, SETTINGS_SCRATCH);
	if (settings_load(groups, n, n_arguments, arguments, &process.settings_scratch, err) || check_urls(err))
		return -1;
	return service->prepare ? service->prepare(err) : 0;
}

static int usage_error(const struct service *service, const char *text)
{
	fprintf(stderr, "garrison-%s: %s\n", service->name, text);
	return EXIT_USAGE;
}

/* ---- waiting for servers, and what must be in them ---- */

static int check_queue(struct bus *bus, const char *name, struct error *err)
{
	struct error why;

	if (bus_check_queue(bus, name, NULL, &why) == 0)
		return 0;
	if (why.code == CODE_NOT_FOUND)
		return error_set(err, CODE_NOT_FOUND,
				 "the broker has no queue %s: run \"garrisonctl topology apply\" first", name);
	if (err)
		*err = why;
	return -1;
}

static int check_exchange(struct bus *bus, const char *name, struct error *err)
{
	struct error why;

	if (bus_check_exchange(bus, name, &why) == 0)
		return 0;
	if (why.code == CODE_NOT_FOUND)
		return error_set(err, CODE_NOT_FOUND,
				 "the broker has no exchange %s: run \"garrisonctl topology apply\" first", name);
	if (err)
		*err = why;
	return -1;
}

static int check_topology(struct bus *bus, struct error *err)
{
	const struct service *service = process.service;
	const struct retry_delay *delays = common_settings.retry_delays.items;
	char name[BROKER_NAME_MAX];

	if (!service->n_commands)
		return check_exchange(bus, EXCHANGE_RPC, err) || check_exchange(bus, EXCHANGE_COMMANDS, err) ? -1 : 0;
	if (check_queue(bus, name_queue(service->name, name), err) ||
	    check_queue(bus, name_rpc_queue(service->name, name), err) ||
	    check_queue(bus, name_dead_queue(service->name, name), err))
		return -1;
	for (size_t i = 0; i < common_settings.retry_delays.n; i++)
		if (check_queue(bus, name_rung_queue(service->name, delays[i].ms, name), err))
			return -1;
	return 0;
}

static int check_schema(struct pg *pg, struct error *err)
{
	static const struct pg_statement newest = {"schema_version",
						   "SELECT coalesce(max(number), 0)::int8 FROM schema_migrations"};
	CLEANUP(pg_rows_release) struct pg_rows rows = {0};
	struct error why;

	if (pg_query(pg, &newest, NULL, &rows, &why)) {
		if (strcmp(why.sqlstate, "42P01") == 0)
			return error_set(err, CODE_NOT_FOUND,
					 "the database has no tables of ours: run \"garrisonctl migrate\" first");
		if (err)
			*err = why;
		return -1;
	}
	if (pg_int(&rows, 0, 0) < GARRISON_SCHEMA_VERSION)
		return error_set(err, CODE_NOT_FOUND,
				 "the database is at migration %lld, this program needs %d: run \"garrisonctl migrate\" first",
				 (long long)pg_int(&rows, 0, 0), GARRISON_SCHEMA_VERSION);
	return 0;
}

static void warn_of_eviction(struct kv *kv)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = {0};
	const char *policy;

	/* A user who may not ask is not told. */
	if (kv_command(kv, &answers, NULL, "CONFIG GET maxmemory-policy") || kv_length(kv_at(&answers, 0)) < 2)
		return;
	policy = kv_string(kv_item(kv_at(&answers, 0), 1), NULL);
	if (policy && strcmp(policy, "noeviction") != 0)
		log_line(LOG_WARN, "eviction",
			 "Redis has maxmemory-policy %s: it may drop queues and sessions; set noeviction", policy);
}

static int run_start(struct pg *pg, struct kv *kv, struct error *err)
{
	static const struct message nothing = {.lane = LANE_DURABLE};
	struct call call;
	int status;

	if (!process.service->start)
		return 0;
	call_init(&call, process.service, &nothing, pg, kv);
	status = process.service->start(&call, err);
	call_release(&call);
	return status;
}

static int try_servers(struct bus *bus, struct pg *pg, struct kv *kv, struct error *err)
{
	int64_t deadline_ms = clock_ms() + CONNECT_LIMIT_MS;

	if (pg) {
		pg_set_deadline(pg, deadline_ms);
		if (check_schema(pg, err))
			return -1;
	}
	if (kv) {
		kv_set_deadline(kv, deadline_ms);
		if (!kv_ping(kv, err))
			return -1;
		warn_of_eviction(kv);
	}
	if (!bus_is_open(bus) && bus_connect(bus, false, CONNECT_LIMIT_MS, err))
		return -1;
	return check_topology(bus, err) || run_start(pg, kv, err) ? -1 : 0;
}

static bool stop_asked(int wait_ms)
{
	sigset_t signals;
	struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = (wait_ms % 1000) * 1000000L};

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	return sigtimedwait(&signals, NULL, &wait) > 0;
}

/* 0: all are there; or the exit code, or -1 when asked to stop meanwhile. */
static int await_servers(struct bus *bus)
{
	struct pg *pg CLEANUP(pg_drop) = worker_open_pg(process.service);
	struct kv *kv CLEANUP(kv_drop) = worker_open_kv(process.service);
	int64_t give_up_ms = clock_ms() + common_settings.startup_timeout_ms;
	int backoff_ms = START_BACKOFF_MS;
	struct error err;

	while (try_servers(bus, pg, kv, &err)) {
		bool wait = code_is_transient(err.code) && err.code != CODE_INTERNAL;

		if (!wait || clock_ms() >= give_up_ms) {
			log_line(LOG_ERROR, "start_failed", "%s", err.text);
			return err.code == CODE_INTERNAL ? EXIT_INTERNAL : EXIT_UNAVAILABLE;
		}
		log_line(LOG_WARN, "waiting", "%s", err.text);
		if (stop_asked(clock_jitter_ms(backoff_ms)))
			return -1;
		backoff_ms = backoff_ms * 2 > START_BACKOFF_MAX_MS ? START_BACKOFF_MAX_MS : backoff_ms * 2;
	}
	return 0;
}

/* ---- what the admin port says ---- */

static bool is_healthy(struct text *why)
{
	text_str_add(why, "ok");
	return true;
}

bool service_is_ready(struct text *why)
{
	unsigned down;

	if (!atomic_load(&process.running)) {
		text_str_add(why, "starting");
		return false;
	}
	down = workers_down(process.workers);
	if (atomic_load(&process.draining))
		text_str_add(why, "draining");
	else if (!publisher_is_up(process.publisher) || (process.listener && !listener_is_up(process.listener)))
		text_str_add(why, "cut off from RabbitMQ");
	else if (down & (1u << STORE_POSTGRES))
		text_str_add(why, "cut off from PostgreSQL");
	else if (down & (1u << STORE_REDIS))
		text_str_add(why, "cut off from Redis");
	else
		text_str_add(why, "ok");
	return strcmp(text_str(why), "ok") == 0;
}

static void write_up(struct text *out, const char *server, bool up)
{
	text_printf(out, "garrison_up{server=\"%s\"} %d\n", server, up);
}

static void write_metrics(struct text *out)
{
	unsigned down;

	metrics_write(out);
	dispatch_metrics(out);
	if (process.service->front && process.service->front->metrics)
		process.service->front->metrics(out);
	if (!atomic_load(&process.running))
		return;
	down = workers_down(process.workers);
	metrics_head(out, "up", "1 while the server answers", "gauge");
	write_up(out, "rabbitmq",
		 publisher_is_up(process.publisher) && (!process.listener || listener_is_up(process.listener)));
	if (process.service->needs & NEEDS_POSTGRES)
		write_up(out, "postgresql", !(down & (1u << STORE_POSTGRES)));
	if (process.service->needs & NEEDS_REDIS)
		write_up(out, "redis", !(down & (1u << STORE_REDIS)));
}

/* ---- running ---- */

static void watch(void)
{
	const char *stuck = workers_stuck(process.workers);

	if (stuck) {
		log_line(LOG_ERROR, "stuck", "%s has passed its hard limit: this process ends, its messages go back", stuck);
		_exit(EXIT_INTERNAL);
	}
	publisher_watch(process.publisher, PROGRESS_LIMIT_MS);
	if (process.listener)
		listener_watch(process.listener, PROGRESS_LIMIT_MS);
	else if (workers_down(process.workers))
		workers_probe(process.workers);
}

static void drain(void)
{
	const struct front *front = process.service->front;
	int64_t deadline_ms = clock_ms() + common_settings.shutdown_grace_ms;

	log_line(LOG_INFO, "draining", "finishing what is in flight");
	atomic_store(&process.draining, true);
	workers_stop_timers(process.workers);
	if (front)
		front->drain(deadline_ms);
	if (process.listener)
		listener_drain(process.listener, deadline_ms);
	/* It reads of what is now taken apart. */
	admin_stop();
	if (!workers_stop(process.workers, deadline_ms)) {
		/* The threads still at work keep their connections: closing them here would pull the ground from under them. */
		log_line(LOG_WARN, "drain_cut", "not everything was finished in time: it goes back to its queue");
		_exit(0);
	}
	if (front)
		front->stop();
	publisher_stop(process.publisher, deadline_ms > clock_ms() ? deadline_ms : clock_ms() + LAST_WORDS_MS);
	process.publisher = NULL;
	if (process.listener)
		listener_stop(process.listener, clock_ms() + LAST_WORDS_MS);
	process.listener = NULL;
	workers_free(process.workers);
	process.workers = NULL;
}

/* A service without commands has no queues: the sink is never used. */
static void no_sink(void *arg, struct job *job)
{
	(void)arg;
	job_free(job);
}

static int start_parts(struct bus *bus, struct error *err)
{
	static const struct job_sink nowhere = {.finished = no_sink};
	const struct service *service = process.service;

	process.publisher = publisher_start(common_settings.amqp_url, process.name, err);
	if (!process.publisher)
		return -1;
	if (service->n_commands) {
		process.listener = listener_new(service, bus);
		process.workers = workers_start(service, listener_sink(process.listener));
		listener_start(process.listener, process.workers);
	} else {
		bus_free(bus);
		process.workers = workers_start(service, &nowhere);
	}
	if (service->front && service->front->start(err))
		return -1;
	workers_start_timers(process.workers);
	return 0;
}

static void block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(void)
{
	static const struct admin_source source = {.healthy = is_healthy, .ready = service_is_ready, .metrics = write_metrics};
	struct bus *bus = bus_new(common_settings.amqp_url, process.name, NULL);
	struct error err;
	int status;

	if (common_settings.admin_addr && admin_start(common_settings.admin_addr, &source, &err)) {
		bus_free(bus);
		return usage_error(process.service, err.text);
	}
	status = await_servers(bus);
	if (status) {
		bus_free(bus);
		admin_stop();
		return status < 0 ? 0 : status;
	}
	if (start_parts(bus, &err)) {
		log_line(LOG_ERROR, "start_failed", "%s", err.text);
		_exit(err.code == CODE_INTERNAL ? EXIT_INTERNAL : EXIT_USAGE);
	}
	atomic_store(&process.running, true);
	log_line(LOG_INFO, "started", "version %s", GARRISON_VERSION);
	while (!stop_asked(WATCH_EVERY_MS))
		watch();
	drain();
	log_line(LOG_INFO, "stopped", "clean");
	return 0;
}

static int run_one(void)
{
	struct error err;
	int status;

	process.publisher = publisher_start(common_settings.amqp_url, process.name, &err);
	if (!process.publisher)
		return EXIT_INTERNAL;
	status = quarantine_child(process.service);
	publisher_stop(process.publisher, clock_ms() + LAST_WORDS_MS);
	log_flush();
	return status;
}

static void set_up_process(const struct service *service)
{
	char host[100] = "localhost";

	gethostname(host, sizeof(host) - 1);
	snprintf(process.name, sizeof(process.name), "garrison-%s@%s:%d", service->name, host, (int)getpid());
	worker_name = process.name;
	/* Two arenas do for a handful of threads; glibc's default is eight a core, each with memory of its own. */
	mallopt(M_ARENA_MAX, 2);
	log_setup((enum log_level)common_settings.log_level, service->name, process.name);
	dispatch_setup(service);
	if (service->n_metrics)
		metrics_register(service->metrics, service->n_metrics);
}

int service_main(const struct service *service, int argc, char **argv)
{
	bool one = argc > 1 && strcmp(argv[1], "--one") == 0;
	int first = one ? 2 : 1;
	struct error err;
	int status;

	process.service = service;
	if (sodium_init() < 0)
		return EXIT_INTERNAL;
	check_tables(service);
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return describe(service, false);
	if (argc == 2 && strcmp(argv[1], "--describe") == 0)
		return describe(service, true);
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("garrison-%s %s\n", service->name, GARRISON_VERSION) > 0 ? 0 : EXIT_INTERNAL;
	for (int i = first; i < argc; i++)
		if (argv[i][0] == '-')
			return usage_error(service, "options are --help, --describe and --version; settings are NAME=value");
	if (load_settings(service, argc - first, argv + first, &err))
		return usage_error(service, err.text);
	set_up_process(service);
	quarantine_setup(argc - first, argv + first);
	block_signals();
	status = one ? run_one() : run();
	log_flush();
	scratch_release(&process.settings_scratch);
	return status;
}
