#include <math.h>
#include <stdio.h>

#include "status.h"

#define RED "31"
#define YELLOW "33"
#define BOLD "1"
/* Overdue by more than this many seconds is more than the workers' own rhythm. */
#define OVERDUE_S 10

/* ---- JSON ---- */

/* How long what is ready will take at the present rate: infinite when nothing leaves the queue. */
static double queue_lag_s(const struct queue_status *queue)
{
	if (!queue->ready)
		return 0;
	return queue->out_rate > 0 ? (double)queue->ready / queue->out_rate : INFINITY;
}

static void write_queue(const char *name, const struct queue_status *queue, struct text *out)
{
	json_key(out, name);
	json_open(out, '{');
	json_key_int(out, "ready", queue->ready);
	json_key_int(out, "in_flight", queue->in_flight);
	json_key_int(out, "consumers", queue->consumers);
	json_key(out, "in_per_s");
	json_number(out, queue->in_rate);
	json_key(out, "out_per_s");
	json_number(out, queue->out_rate);
	json_key(out, "lag_s");
	json_number(out, queue_lag_s(queue));
	json_key_int(out, "undelivered", queue->undelivered);
	json_close(out, '}');
}

static void write_error(const char *name, const struct error *err, struct text *out)
{
	json_key_string(out, name, err->code == CODE_OK ? NULL : err->text);
}

static void write_services(const struct status *status, struct text *out)
{
	json_key(out, "services");
	json_open(out, '[');
	for (size_t i = 0; i < status->n_services; i++) {
		const struct service_status *service = &status->services[i];

		json_open(out, '{');
		json_key_string(out, "name", service->name);
		json_key_int(out, "workers", service->durable.consumers);
		write_queue("durable", &service->durable, out);
		write_queue("requests", &service->requests, out);
		write_queue("retrying", &service->retrying, out);
		write_queue("dead", &service->dead, out);
		json_close(out, '}');
	}
	json_close(out, ']');
}

void status_write(const struct status *status, struct text *out)
{
	json_open(out, '{');
	json_key(out, "errors");
	json_open(out, '{');
	write_error("broker", &status->broker, out);
	write_error("database", &status->database, out);
	write_error("cache", &status->cache, out);
	json_close(out, '}');
	write_services(status, out);
	json_key(out, "ticks");
	json_open(out, '{');
	json_key_int(out, "sessions", status->sessions);
	json_key_int(out, "due", status->due_sessions);
	json_key(out, "overdue_s");
	json_number(out, status->overdue_s);
	json_key_int(out, "queued", status->queued_ticks);
	json_close(out, '}');
	json_key(out, "fights");
	json_open(out, '{');
	json_key_int(out, "pending", status->pending_fights);
	json_key_int(out, "failed", status->failed_fights);
	json_close(out, '}');
	json_key(out, "backup");
	json_open(out, '{');
	json_key_int(out, "dirty", status->dirty);
	json_key_int(out, "in_work", status->in_work);
	json_key_int(out, "set_aside", status->set_aside);
	json_key(out, "oldest_s");
	json_number(out, status->oldest_dirty_s < 0 ? NAN : status->oldest_dirty_s);
	json_close(out, '}');
	json_close(out, '}');
}

/* ---- lines ---- */

/* A figure in its column, coloured where it calls for attention. */
static void show_cell(struct text *out, const char *colour, int width, const char *cell)
{
	if (colour)
		text_printf(out, "\033[%sm%*s\033[0m", colour, width, cell);
	else
		text_printf(out, "%*s", width, cell);
}

static void show_int(struct text *out, const char *colour, int width, int64_t value)
{
	char cell[24];

	snprintf(cell, sizeof(cell), "%lld", (long long)value);
	show_cell(out, colour, width, cell);
}

static void show_rate(struct text *out, int width, double rate)
{
	char cell[24];

	snprintf(cell, sizeof(cell), rate < 100 ? "%.1f" : "%.0f", rate);
	show_cell(out, NULL, width, cell);
}

static void show_lag(struct text *out, bool colour, int width, const struct queue_status *queue)
{
	double lag_s = queue_lag_s(queue);
	char cell[24] = "-";

	if (!isfinite(lag_s))
		snprintf(cell, sizeof(cell), "stuck");
	else if (queue->ready)
		snprintf(cell, sizeof(cell), "%.0f s", lag_s);
	show_cell(out, colour && !isfinite(lag_s) ? YELLOW : NULL, width, cell);
}

static void show_service(const struct service_status *service, bool colour, struct text *out)
{
	const struct queue_status *durable = &service->durable, *requests = &service->requests;
	int64_t undelivered = durable->undelivered + service->retrying.undelivered;

	text_printf(out, "%-18s", service->name);
	show_int(out, colour && !durable->consumers ? YELLOW : NULL, 8, durable->consumers);
	show_int(out, NULL, 8, durable->ready);
	show_int(out, NULL, 8, durable->in_flight);
	show_rate(out, 8, durable->in_rate);
	show_rate(out, 8, durable->out_rate);
	show_lag(out, colour, 7, durable);
	show_int(out, NULL, 7, requests->ready + requests->in_flight);
	show_rate(out, 8, requests->out_rate);
	show_int(out, colour && service->retrying.ready ? YELLOW : NULL, 7, service->retrying.ready);
	show_int(out, colour && service->dead.ready ? RED : NULL, 7, service->dead.ready + service->dead.in_flight);
	text_char(out, '\n');
	/* A few are always on their way; those that stay block their rung. */
	if (undelivered)
		text_printf(out,
			"%18s%lld messages wait to be dead-lettered; if that lasts, see garrisonctl topology check\n",
			"", (long long)undelivered);
}

static void show_error(const char *name, const struct error *err, bool colour, struct text *out)
{
	if (err->code == CODE_OK)
		return;
	show_cell(out, colour ? RED : NULL, 0, name);
	text_printf(out, ": %s\n", err->text);
}

static void show_stores(const struct status *status, bool colour, struct text *out)
{
	if (status->database.code == CODE_OK) {
		text_printf(out, "ticks    %lld sessions, %lld due, ", (long long)status->sessions,
			(long long)status->due_sessions);
		show_cell(out, colour && status->overdue_s > OVERDUE_S ? YELLOW : NULL, 0, "overdue");
		text_printf(out, " by %.1f s", status->overdue_s);
		if (status->cache.code == CODE_OK)
			text_printf(out, ", %lld queued", (long long)status->queued_ticks);
		text_printf(out, "\nfights   %lld pending, ", (long long)status->pending_fights);
		show_int(out, colour && status->failed_fights ? RED : NULL, 0, status->failed_fights);
		text_str_add(out, " failed\n");
	}
	if (status->cache.code != CODE_OK)
		return;
	text_printf(out, "backup   %lld dirty, %lld in work, %lld set aside", (long long)status->dirty,
		(long long)status->in_work, (long long)status->set_aside);
	if (status->dirty && status->oldest_dirty_s >= 0)
		text_printf(out, ", the oldest mark at most %.0f s old", status->oldest_dirty_s);
	text_char(out, '\n');
}

void status_show(const struct status *status, bool colour, struct text *out)
{
	if (status->broker.code == CODE_OK) {
		char head[160];

		snprintf(head, sizeof(head), "%-18s%8s%8s%8s%8s%8s%7s%7s%8s%7s%7s", "SERVICE", "WORKERS", "READY",
			"FLIGHT", "IN/S", "OUT/S", "LAG", "REQS", "REQS/S", "RETRY", "DEAD");
		show_cell(out, colour ? BOLD : NULL, 0, head);
		text_char(out, '\n');
		for (size_t i = 0; i < status->n_services; i++)
			show_service(&status->services[i], colour, out);
	}
	show_stores(status, colour, out);
	show_error("broker", &status->broker, colour, out);
	show_error("database", &status->database, colour, out);
	show_error("cache", &status->cache, colour, out);
}
