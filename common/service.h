/*
 * A service is data: its commands, settings, timers and fronts in tables, handed to service_main, which does the rest.
 *
 * Adding a command touches four places: one row in the service's main.c, <command>.h, <command>.c, and its test.
 * Adding a service touches four: its folder, one row in topology/topology.c, one stanza in deploy/, one black-box scenario.
 */
#ifndef GARRISON_SERVICE_H
#define GARRISON_SERVICE_H

#include "call.h"
#include "field.h"
#include "metrics.h"
#include "reply.h"

typedef enum outcome handle_fn(struct call *call);
typedef void handle_batch_fn(struct batch *batch);

struct command {
	const char *name;
	const char *help;
	const struct schema *request;
	const struct schema *result;
	handle_fn *handle;
	handle_batch_fn *handle_batch; /* instead of .handle */
	size_t batch_max;	       /* calls in one batch */
	size_t running_max; /* threads at it at a time; 0: all. With 1, a batch is what came during the last */
	enum lane lanes;    /* 0 means LANE_BOTH */
	int64_t timeout_ms; /* soft deadline; 0 means COMMAND_PROCESSING_TIMEOUT */
	int max_attempts;   /* 0 means MAX_ATTEMPTS */
	size_t body_max;    /* bytes; 0 means 1 MiB */
	bool digest;	    /* the handler wants call->digest */
};

/*
 * A row: id names the handler and, with _request and _result behind it, its schemas, so that none can be paired with another's.
 * Whether id takes a call or a batch, its own type says.
 */
/* clang-format off */
#define COMMAND(id, command_name, ...) { \
	.name = (command_name), .request = &id##_request, .result = &id##_result, \
	.handle = _Generic(&(id), handle_fn *: (id), default: NULL), \
	.handle_batch = _Generic(&(id), handle_batch_fn *: (id), default: NULL), __VA_ARGS__ }
/* clang-format on */

/* What a service tells of its own accord, on game.events as <service>.<name>. Nothing but these can be published there. */
struct service_event {
	const char *name;
	const char *help;
	const struct schema *body;
};

/*
 * Work that nobody sends: run in a thread of its own with stores of its own, as a call without a message. Returns the milliseconds
 * until its next run (0: at once). What it publishes goes out when it returns, or at publish_flush(). A failing run logs by itself
 * says in how long to try again, and leaves err.down in call->down. While a store is down no timer is run. Who has made work for a timer
 * need not leave it to be found: service_wake_timer().
 */
struct timer {
	const char *name;
	const char *help;
	int64_t (*run)(struct call *call);
	int threads;	    /* 0 means 1 */
	int64_t timeout_ms; /* deadline of one run; 0 means COMMAND_PROCESSING_TIMEOUT */
};

/*
 * Has every thread of the timers of this name in this process run at once, whatever it said; one that is running runs once more. Nothing
 * happens in a process without timers (a quarantined call's). Any thread.
 */
void service_wake_timer(const char *name);

/* Another way in than the broker's queues (HTTP). All are called on the main thread. */
struct front {
	int (*start)(struct error *err);    /* the broker and stores are up: begin to take requests */
	void (*drain)(int64_t deadline_ms); /* take no more, answer what is in flight */
	void (*stop)(void);
	/* More of /metrics, on the admin port's thread, and, before anything has started, its heads alone; NULL for none. */
	void (*metrics)(struct text *out);
	const char *option;		    /* "--openapi": prints what the front says of itself; NULL for none */
	void (*document)(struct text *out); /* that, written without any server */
};

enum needs { NEEDS_REDIS = 1, NEEDS_POSTGRES = 2 };

struct service {
	const char *name;
	const char *summary;
	unsigned needs;
	const struct schema *settings; /* the service's own; NULL for none */
	void *settings_out;
	int threads;		 /* default of MAX_CONCURRENT_TASKS; 0 means 4 */
	const char *pg_settings; /* "-c name=value" words for its connections, or NULL */
	const struct command *commands;
	size_t n_commands;
	const struct timer *timers;
	size_t n_timers;
	const struct service_event *events;
	size_t n_events;
	struct metric *metrics;
	size_t n_metrics;
	const struct front *front;
	/* After settings, before any thread: refuse what the schema cannot see. NULL for none. */
	int (*prepare)(struct error *err);
	/* Once, on a connected call, before readiness (make a key, check a table). Called again later if it fails for want of a store. */
	int (*start)(struct call *call, struct error *err);
};

/* Settings every service has; read-only after start. */
struct common_settings {
	const char *amqp_url;
	const char *redis_url;
	const char *database_url;
	int64_t max_concurrent_tasks;
	int64_t command_processing_timeout_ms;
	int64_t shutdown_grace_ms;
	int64_t startup_timeout_ms;
	const char *admin_addr;
	int log_level;
	struct list retry_delays; /* of struct retry_delay */
	int64_t max_attempts;
};
struct retry_delay {
	int64_t ms;
};
extern struct common_settings common_settings;

/* How long attempt n that failed waits for the next; past the last of RETRY_DELAYS, so long as that. Any thread. */
int64_t retry_delay_ms(int attempt);

/* What /readyz says: false while starting, draining or cut off, with the reason in words. For fronts. Any thread. */
bool service_is_ready(struct text *why);

/*
 * Everything from argv to the exit code: --help, --describe, --version, settings, connections, topology and schema checks, threads,
 * signals, drain. Returns the exit code: 0 clean stop, 64 usage, 69 a server out of reach or not prepared, 70 internal.
 */
int service_main(const struct service *service, int argc, char **argv);

#endif
