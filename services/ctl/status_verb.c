#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "status.h"
#include "stores.h"
#include "verbs.h"

#define STATEMENT_TIMEOUT_MS 5000

struct status_options {
	bool watch;
	int64_t interval_ms;
};

static const struct field option_fields[] = {
	FIELD(struct status_options, watch, .help = "look again and again, until Ctrl-C"),
	FIELD(struct status_options, interval_ms, .as = "interval", .unit = UNIT_MS, .preset = "2s", .min = 100,
		.max = 3600 * 1000, .help = "how often, with --watch"),
};
const struct schema status_options = SCHEMA(struct status_options, option_fields, .name = "status");

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
	(void)signal_number;
	stop_asked = 1;
}

/* Over what was there before, line by line, so that nothing flickers. */
static void redraw(const char *lines)
{
	printf("\033[H");
	for (const char *line = lines; *line;) {
		size_t len = strcspn(line, "\n");

		printf("%.*s\033[K\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
	printf("\033[J");
}

static void print(const struct invocation *in, const struct status *status)
{
	const struct status_options *options = in->options;
	bool terminal = isatty(STDOUT_FILENO);
	CLEANUP(text_release) struct text out = { 0 };

	if (in->json) {
		status_write(status, &out);
		text_char(&out, '\n');
	} else {
		status_show(status, terminal, &out);
		if (options->watch && !terminal)
			text_char(&out, '\n');
	}
	if (options->watch && terminal && !in->json)
		redraw(text_str(&out));
	else
		printf("%s", text_str(&out));
	fflush(stdout);
}

static const struct error *first_error(const struct status *status)
{
	const struct error *const errors[] = { &status->broker, &status->database, &status->cache };

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i]->code != CODE_OK)
			return errors[i];
	return NULL;
}

static void watch(const struct invocation *in, const struct status_sources *sources)
{
	const struct status_options *options = in->options;
	struct sigaction action = { .sa_handler = ask_stop };
	struct status status;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (isatty(STDOUT_FILENO) && !in->json)
		printf("\033[2J");
	while (!stop_asked && !ferror(stdout)) {
		status_read(sources, &status);
		print(in, &status);
		poll(NULL, 0, (int)options->interval_ms);
	}
}

int status_run(struct invocation *in, struct error *err)
{
	const struct status_options *options = in->options;
	char vhost[VHOST_MAX];
	struct status status;

	if (vhost_of_url(ctl_settings.amqp_url, vhost, err))
		return ctl_failed(err);
	CLEANUP(management_drop)
	struct management *management = management_new(ctl_settings.rabbitmq_api_url, vhost, err);
	CLEANUP(pg_drop) struct pg *pg = stores_database(STATEMENT_TIMEOUT_MS);
	CLEANUP(kv_drop) struct kv *kv = management ? stores_cache(err) : NULL;
	const struct status_sources sources = { management, pg, kv };

	if (!management || !kv)
		return ctl_failed(err);
	if (options->watch) {
		watch(in, &sources);
		return CTL_DONE;
	}
	status_read(&sources, &status);
	print(in, &status);
	if (!first_error(&status))
		return CTL_DONE;
	*err = *first_error(&status);
	return ctl_failed(err);
}
