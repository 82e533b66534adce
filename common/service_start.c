#include <signal.h>
#include <string.h>

#include "clock.h"
#include "dispatch.h"
#include "log.h"
#include "naming.h"
#include "request_queue.h"
#include "schema_version.h"
#include "service_internal.h"
#include "worker.h"

#define CONNECT_LIMIT_MS 5000
#define START_BACKOFF_MS 100
#define START_BACKOFF_MAX_MS 2000

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

/* The transient one goes with its node, so that it is missing now does not mean that nobody has applied the topology. */
static int check_request_queue(const struct service *service, struct bus *bus, struct error *err)
{
	char name[BROKER_NAME_MAX];

	name_rpc_queue(service->name, name);
	if (!request_queue_is_transient(common_settings.amqp_url))
		return check_queue(bus, name, err);
	if (bus_check_queue(bus, name, NULL, err) == 0)
		return 0;
	return err->code == CODE_NOT_FOUND ? request_queue_declare(bus, service->name, err) : -1;
}

static int check_topology(const struct service *service, struct bus *bus, struct error *err)
{
	static const char *const exchanges[] = { EXCHANGE_COMMANDS, EXCHANGE_RPC, EXCHANGE_EVENTS, EXCHANGE_DEAD };
	const struct retry_delay *delays = common_settings.retry_delays.items;
	char name[BROKER_NAME_MAX];

	for (size_t i = 0; i < ARRAY_LEN(exchanges); i++)
		if (check_exchange(bus, exchanges[i], err))
			return -1;
	if (!service->n_commands)
		return 0;
	if (check_queue(bus, name_queue(service->name, name), err) || check_request_queue(service, bus, err) ||
		check_queue(bus, name_dead_queue(service->name, name), err))
		return -1;
	for (size_t i = 0; i < common_settings.retry_delays.n; i++)
		if (check_exchange(bus, name_rung_exchange(delays[i].ms, name), err) ||
			check_queue(bus, name_rung_queue(service->name, delays[i].ms, name), err))
			return -1;
	return 0;
}

static void warn_of_eviction(struct kv *kv)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	const char *policy;

	/* A user who may not ask is not told. */
	if (kv_command(kv, &answers, NULL, "CONFIG GET maxmemory-policy") || kv_length(kv_at(&answers, 0)) < 2)
		return;
	policy = kv_string(kv_item(kv_at(&answers, 0), 1), NULL);
	if (policy && strcmp(policy, "noeviction") != 0)
		log_line(LOG_WARN, "eviction",
			"Redis has maxmemory-policy %s: it may drop queues and sessions; set noeviction", policy);
}

static int run_start(const struct service *service, struct pg *pg, struct kv *kv, struct error *err)
{
	static const struct message nothing = { .lane = LANE_DURABLE };
	struct call call;
	int status;

	if (!service->start)
		return 0;
	call_init(&call, service, &nothing, pg, kv);
	status = service->start(&call, err);
	call_release(&call);
	return status;
}

static int try_servers(const struct service *service, struct bus *bus, struct pg *pg, struct kv *kv, struct error *err)
{
	int64_t deadline_ms = clock_ms() + CONNECT_LIMIT_MS;

	if (pg) {
		pg_set_deadline(pg, deadline_ms);
		if (schema_version_check(pg, err))
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
	if (check_topology(service, bus, err)) {
		/* Where it failed because the connection broke, asking on it again would fail for ever. */
		bus_close(bus, 0);
		return -1;
	}
	return run_start(service, pg, kv, err);
}

bool stop_asked(int wait_ms)
{
	sigset_t signals;
	struct timespec wait = { .tv_sec = wait_ms / 1000, .tv_nsec = (wait_ms % 1000) * 1000000L };

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	return sigtimedwait(&signals, NULL, &wait) > 0;
}

int await_servers(const struct service *service, struct bus *bus)
{
	struct pg *pg CLEANUP(pg_drop) = worker_open_pg(service);
	struct kv *kv CLEANUP(kv_drop) = worker_open_kv(service);
	int64_t give_up_ms = clock_ms() + common_settings.startup_timeout_ms;
	int backoff_ms = START_BACKOFF_MS;
	struct error err;

	while (try_servers(service, bus, pg, kv, &err)) {
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
