#include <poll.h>
#include <stdio.h>

#include "clock.h"
#include "dead.h"
#include "verbs.h"

#define NAP_MS 1000

const struct schema dead_purge_options = SCHEMA(struct dead_options, dead_change_fields, .name = "dead purge");

/* After n were deleted; who stops us meanwhile leaves the rest where it is. */
static int wait_for_turn(struct dead_scan *scan, int64_t began_ms, int64_t n, struct error *err)
{
	int64_t due_ms = scan->options->rate ? began_ms + n * 1000 / scan->options->rate : 0;
	int left_ms;

	while ((left_ms = clock_left_ms(due_ms)) > 0) {
		if (bus_keep_alive(scan->bus))
			return error_down(err, STORE_BROKER, "the connection to RabbitMQ is lost");
		poll(NULL, 0, left_ms < NAP_MS ? left_ms : NAP_MS);
	}
	return 0;
}

static int take(
	struct dead_scan *scan, const struct dead_letter *letter, bool json, struct text *list, struct error *err)
{
	if (json)
		dead_write(letter, false, list);
	else if (scan->options->dry_run)
		dead_print_line(letter);
	return scan->options->dry_run ? 0 : dead_ack(scan, letter->delivery.tag, err);
}

int dead_purge_run(struct invocation *in, struct error *err)
{
	CLEANUP(text_release) struct text list = { 0 };
	struct dead_letter letter;
	struct dead_scan scan;
	int64_t n = 0;
	int got;

	if (dead_open(&scan, in, err))
		return ctl_failed(err);
	bool dry_run = scan.options->dry_run;
	int64_t began_ms = clock_ms();

	json_open(&list, '[');
	while ((got = dead_next(&scan, &letter, err)) > 0) {
		if ((!dry_run && wait_for_turn(&scan, began_ms, n, err)) ||
			take(&scan, &letter, in->json, &list, err)) {
			got = -1;
			break;
		}
		n++;
	}
	json_close(&list, ']');
	/* Closing waits for the broker, so that the acks are known to have arrived. */
	dead_close(&scan);
	if (got)
		return ctl_failed(err);
	if (in->json)
		printf("{\"dry_run\":%s,\"purged\":%lld,\"messages\":%s}\n", dry_run ? "true" : "false",
			dry_run ? 0LL : (long long)n, text_str(&list));
	else
		printf("%s %lld dead letters of %s\n", dry_run ? "would delete" : "deleted", (long long)n, in->args[0]);
	return CTL_DONE;
}
