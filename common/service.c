#include "service_internal.h"

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
#include "healthcheck.h"
#include "listener.h"
#include "log.h"
#include "naming.h"
#include "publisher.h"
#include "quarantine.h"
#include "server_urls.h"
#include "settings.h"
#include "version.h"
#include "worker.h"

#define WATCH_EVERY_MS 250
/* More than a heartbeat's worth of silence from a thread that looks around every second. */
#define PROGRESS_LIMIT_MS 15000
#define LAST_WORDS_MS 1000
#define HEALTHCHECK_LIMIT_MS 3000
#define LARGE_BUFFER (128 << 10)
#define SETTINGS_SCRATCH ((size_t)1 << 20)

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
	groups[0] = (struct settings_group){ .schema = common_settings_schema(service), .out = &common_settings };
	if (!service->settings)
		return 1;
	groups[1] = (struct settings_group){ .schema = service->settings, .out = service->settings_out };
	return 2;
}

static void check_tables(const struct service *service)
{
	schema_check(common_settings_schema(service));
	if (service->settings)
		schema_check(service->settings);
	for (size_t i = 0; i < service->n_commands; i++) {
		const struct command *command = &service->commands[i];

		schema_check(command->request);
		schema_check(command->result);
		if (!command->handle == !command->handle_batch || (command->handle_batch && !command->batch_max))
			BUG("command %s: one handler, and a batch_max for a batch", command->name);
	}
	for (size_t i = 0; i < service->n_events; i++)
		schema_check(service->events[i].body);
}

static int print(const struct text *out)
{
	return fwrite(out->bytes, 1, out->len, stdout) == out->len && fflush(stdout) == 0 ? 0 : EXIT_INTERNAL;
}

/* Every counter there is, so that --describe knows of it before anything has started. */
static void count_everything(const struct service *service)
{
	dispatch_setup(service);
	publisher_count();
	if (service->n_commands)
		listener_count();
	if (service->n_metrics)
		metrics_register(service->metrics, service->n_metrics);
}

static void write_metrics(struct text *out);

static int describe(const struct service *service, const char *option)
{
	CLEANUP(text_release) struct text out = { 0 };
	CLEANUP(text_release) struct text metrics = { 0 };
	struct settings_group groups[2];
	size_t n = settings_groups(service, groups);

	if (service->front && service->front->option && strcmp(option, service->front->option) == 0) {
		service->front->document(&out);
	} else if (strcmp(option, "--help") == 0) {
		describe_help(service, groups, n, &out);
	} else if (strcmp(option, "--describe") == 0) {
		count_everything(service);
		write_metrics(&metrics);
		describe_json(service, groups, n, text_str(&metrics), &out);
	} else if (strcmp(option, "--version") == 0) {
		text_printf(&out, "garrison-%s %s\n", service->name, GARRISON_VERSION);
	} else {
		return -1;
	}
	return print(&out);
}

static int load_settings(const struct service *service, int n_arguments, char **arguments, struct error *err)
{
	struct settings_group groups[2];
	size_t n = settings_groups(service, groups);

	scratch_init(&process.settings_scratch, SETTINGS_SCRATCH);
	if (settings_load(groups, n, n_arguments, arguments, &process.settings_scratch, err) ||
		server_urls_check(
			common_settings.amqp_url, common_settings.redis_url, common_settings.database_url, err))
		return -1;
	return service->prepare ? service->prepare(err) : 0;
}

static int usage_error(const struct service *service, const char *text)
{
	fprintf(stderr, "garrison-%s: %s\n", service->name, text);
	return EXIT_USAGE;
}

/* ---- what the admin port says ---- */

/* Of the process that these settings start: what a container without a shell runs to learn whether it lives. */
static int check_health(const struct service *service)
{
	struct error err;

	if (!common_settings.admin_addr)
		return usage_error(service, "--healthcheck asks the process on ADMIN_ADDR, which is not set");
	if (healthcheck(common_settings.admin_addr, HEALTHCHECK_LIMIT_MS, &err) == 0)
		return 0;
	fprintf(stderr, "garrison-%s: %s\n", service->name, err.text);
	return 1;
}

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
	metrics_head(out, "up", "1 while the server answers", "gauge");
	if (!atomic_load(&process.running))
		return;
	down = workers_down(process.workers);
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
		log_line(LOG_ERROR, "stuck", "%s has passed its hard limit: this process ends, its messages go back",
			stuck);
		_exit(EXIT_INTERNAL);
	}
	workers_look_again(process.workers);
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
	static const struct job_sink nowhere = { .finished = no_sink };
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
	static const struct admin_source source = {
		.healthy = is_healthy, .ready = service_is_ready, .metrics = write_metrics
	};
	struct bus *bus = bus_new(common_settings.amqp_url, process.name, NULL);
	struct error err;
	int status;

	if (common_settings.admin_addr && admin_start(common_settings.admin_addr, &source, &err)) {
		bus_free(bus);
		return usage_error(process.service, err.text);
	}
	status = await_servers(process.service, bus);
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
	/* Large buffers go back to the system when freed: by default the threshold grows with them, and they stay. */
	mallopt(M_MMAP_THRESHOLD, LARGE_BUFFER);
	mallopt(M_TRIM_THRESHOLD, LARGE_BUFFER);
	log_setup((enum log_level)common_settings.log_level, service->name, process.name);
	count_everything(service);
}

int service_main(const struct service *service, int argc, char **argv)
{
	bool one = argc > 1 && strcmp(argv[1], "--one") == 0;
	bool check = argc > 1 && strcmp(argv[1], "--healthcheck") == 0;
	int first = one || check ? 2 : 1;
	struct error err;
	int status;

	process.service = service;
	if (sodium_init() < 0)
		return EXIT_INTERNAL;
	check_tables(service);
	if (argc == 2) {
		status = describe(service, argv[1]);
		if (status >= 0)
			return status;
	}
	for (int i = first; i < argc; i++)
		if (argv[i][0] == '-') {
			error_set(&err, CODE_INVALID_PAYLOAD,
				"%.*s: options are --help, --describe, --version and --healthcheck; settings are "
				"NAME=value",
				(int)strcspn(argv[i], "=:"), argv[i]);
			return usage_error(service, err.text);
		}
	if (load_settings(service, argc - first, argv + first, &err))
		return usage_error(service, err.text);
	if (check)
		return check_health(service);
	set_up_process(service);
	quarantine_setup(argc - first, argv + first);
	block_signals();
	status = one ? run_one() : run();
	log_flush();
	scratch_release(&process.settings_scratch);
	return status;
}
