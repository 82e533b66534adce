#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "clock.h"
#include "dead.h"
#include "naming.h"
#include "verbs.h"

#define WINDOW 256 /* publications that wait for their confirm */
#define CONFIRM_TIMEOUT_MS 30000
#define HEADERS_MAX 64
#define NAP_MS 1000

const struct schema dead_redrive_options = SCHEMA(struct dead_options, dead_change_fields, .name = "dead redrive");

/* Publications under way: sequence numbers acked … sent, each with the tag of its original at sequence % WINDOW. */
struct redrive {
	struct dead_scan scan;
	struct bus *out;
	uint64_t tags[WINDOW];
	bool confirmed[WINDOW];
	uint64_t sent, acked;
	int64_t began_ms;
	int64_t published;
	int64_t done; /* originals acked */
};

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
	(void)signal_number;
	stop_asked = 1;
}

/* What the broker or a worker noted on the way: the broker takes a kept x-death for a cycle, and would deliver by a kept CC again. */
static bool is_note(const char *header)
{
	static const char *const exact[] = { "x-death", "x-delivery-count", "x-acquired-count", "CC", "BCC" };
	static const char *const prefixes[] = { "g-", "x-first-death-", "x-last-death-" };

	for (size_t i = 0; i < ARRAY_LEN(exact); i++)
		if (strcmp(header, exact[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(header, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static int publish(struct redrive *redrive, const struct dead_letter *letter, struct error *err)
{
	const struct bus_delivery *delivery = &letter->delivery;
	struct bus_header headers[HEADERS_MAX];
	struct bus_publication publication = {
		.exchange = EXCHANGE_COMMANDS,
		.routing_key = letter->routing_key,
		.body = delivery->body,
		.body_len = delivery->body_len,
		.type = delivery->type,
		.message_id = delivery->message_id,
		.correlation_id = delivery->correlation_id,
		.reply_to = delivery->reply_to,
		.content_type = delivery->content_type,
		.headers = headers,
		.persistent = true,
		.mandatory = true,
	};
	uint64_t sequence;

	for (size_t i = 0; i < delivery->n_headers && publication.n_headers < HEADERS_MAX; i++)
		if (!is_note(delivery->headers[i].name))
			headers[publication.n_headers++] = delivery->headers[i];
	if (bus_publish(redrive->out, BUS_MAIN, &publication, &sequence, err))
		return -1;
	redrive->tags[sequence % WINDOW] = delivery->tag;
	redrive->confirmed[sequence % WINDOW] = false;
	redrive->sent = sequence;
	redrive->published++;
	return 0;
}

static void confirm(struct redrive *redrive, uint64_t sequence, bool multiple)
{
	uint64_t first = multiple ? redrive->acked + 1 : sequence;

	for (uint64_t i = first; i <= sequence; i++)
		redrive->confirmed[i % WINDOW] = true;
}

/* Acks the originals of what is confirmed, in order. */
static int ack_confirmed(struct redrive *redrive, struct error *err)
{
	while (redrive->acked < redrive->sent && redrive->confirmed[(redrive->acked + 1) % WINDOW]) {
		redrive->acked++;
		if (dead_ack(&redrive->scan, redrive->tags[redrive->acked % WINDOW], err))
			return -1;
		redrive->done++;
	}
	return 0;
}

static int take_event(struct redrive *redrive, const struct bus_event *event, struct error *err)
{
	switch (event->kind) {
	case BUS_CONFIRMED:
		confirm(redrive, event->tag, event->multiple);
		return ack_confirmed(redrive, err);
	case BUS_REJECTED:
		return error_set(
			err, CODE_UNAVAILABLE, "the broker refused a message: the queue it goes to is full or down");
	case BUS_RETURNED:
		/* Its confirm is still to come, and would be taken for success: nothing more is acked. */
		return error_set(err, CODE_NOT_FOUND,
			"no queue takes %s: is the topology applied? (garrisonctl topology check)",
			event->delivery.routing_key);
	default:
		return 0;
	}
}

/* Reads what the broker says of publications until at most n are under way. */
static int settle(struct redrive *redrive, uint64_t n, struct error *err)
{
	int64_t deadline_ms = clock_ms() + CONFIRM_TIMEOUT_MS;
	struct bus_event event;

	for (;;) {
		if (redrive->sent - redrive->acked <= n) {
			if (bus_next(redrive->out, &event, err))
				return -1;
			if (event.kind == BUS_NOTHING)
				return 0;
		} else if (broker_next(redrive->out, &event, deadline_ms, err)) {
			return -1;
		}
		if (take_event(redrive, &event, err))
			return -1;
	}
}

/* Waits until the rate allows the next one, or until asked to stop. */
static int wait_for_turn(struct redrive *redrive, struct error *err)
{
	int64_t rate = redrive->scan.options->rate;

	while (rate && !stop_asked) {
		int64_t due_ms = redrive->began_ms + redrive->published * 1000 / rate;
		int left_ms = clock_left_ms(due_ms);

		if (left_ms == 0)
			return 0;
		if (settle(redrive, 0, err))
			return -1;
		if (bus_keep_alive(redrive->scan.bus) || bus_keep_alive(redrive->out))
			return error_down(err, STORE_BROKER, "the connection to RabbitMQ is lost");
		poll(NULL, 0, left_ms < NAP_MS ? left_ms : NAP_MS);
	}
	return 0;
}

static int redrive_all(struct redrive *redrive, struct error *err)
{
	struct dead_letter letter;
	int got = 0;

	while (!stop_asked && (got = dead_next(&redrive->scan, &letter, err)) > 0) {
		if (wait_for_turn(redrive, err))
			return -1;
		if (stop_asked)
			break;
		if (publish(redrive, &letter, err) || settle(redrive, WINDOW - 1, err))
			return -1;
	}
	if (got < 0)
		return -1;
	return settle(redrive, 0, err);
}

static int dry_run(struct dead_scan *scan, bool json, struct error *err)
{
	CLEANUP(text_release) struct text list = { 0 };
	struct dead_letter letter;
	long long n = 0;
	int got;

	json_open(&list, '[');
	while ((got = dead_next(scan, &letter, err)) > 0) {
		n++;
		if (json)
			dead_write(&letter, false, &list);
		else
			dead_print_line(&letter);
	}
	json_close(&list, ']');
	if (got)
		return -1;
	if (json)
		printf("{\"dry_run\":true,\"redriven\":0,\"messages\":%s}\n", text_str(&list));
	else
		printf("would redrive %lld messages\n", n);
	return 0;
}

static int run(struct redrive *redrive, struct error *err)
{
	struct sigaction action = { .sa_handler = ask_stop };

	redrive->out = broker_connect(true, err);
	if (!redrive->out)
		return -1;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	redrive->began_ms = clock_ms();
	return redrive_all(redrive, err);
}

int dead_redrive_run(struct invocation *in, struct error *err)
{
	struct redrive redrive = { 0 };
	int failed;

	if (dead_open(&redrive.scan, in, err))
		return ctl_failed(err);
	if (redrive.scan.options->dry_run) {
		failed = dry_run(&redrive.scan, in->json, err);
		dead_close(&redrive.scan);
		return failed ? ctl_failed(err) : CTL_DONE;
	}
	failed = run(&redrive, err);
	bus_free(redrive.out);
	dead_close(&redrive.scan);
	if (in->json)
		printf("{\"dry_run\":false,\"redriven\":%lld}\n", (long long)redrive.done);
	else
		printf("redrove %lld dead letters of %s\n", (long long)redrive.done, in->args[0]);
	if (failed)
		return ctl_failed(err);
	if (!stop_asked)
		return CTL_DONE;
	error_set(err, CODE_CONFLICT, "stopped before the end; the rest is still in %s: run it again to go on",
		redrive.scan.queue);
	return CTL_FAILED;
}
