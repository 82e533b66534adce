/* Which publications the broker has confirmed. */
#include <string.h>

#include "publisher_internal.h"

static struct sent *window_at(struct window *window, size_t i)
{
	return &window->sent[(window->first + i) % CONFIRM_WINDOW];
}

bool window_is_full(const struct window *window)
{
	return window->n == CONFIRM_WINDOW;
}

struct sent *window_add(struct window *window, struct outgoing *out)
{
	struct sent *sent = window_at(window, window->n);

	if (window_is_full(window))
		BUG("no place for another publication");
	*sent = (struct sent){ .out = out };
	out->returned = false;
	window->n++;
	return sent;
}

static void shrink(struct window *window)
{
	while (window->n && !window_at(window, 0)->out) {
		window->first = (window->first + 1) % CONFIRM_WINDOW;
		window->n--;
	}
}

/* An event that no queue took has been published like any other. */
static bool is_kept(const struct outgoing *out)
{
	return !out->returned || out->promise == PROMISE_HEARD;
}

void window_settle(struct window *window, uint64_t tag, bool multiple, bool confirm, struct outgoing_queue *confirmed,
	struct outgoing_queue *refused)
{
	for (size_t i = 0; i < window->n; i++) {
		struct sent *sent = window_at(window, i);

		if (sent->sequence > tag)
			break;
		if (!sent->out || (!multiple && sent->sequence != tag))
			continue;
		struct outgoing *out = TAKE(sent->out);

		outgoing_queue_add(confirm && is_kept(out) ? confirmed : refused, out);
	}
	shrink(window);
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* A return names no sequence; the oldest unmarked publication of the same address and id is the one. */
const struct outgoing *window_return(struct window *window, const struct bus_delivery *returned)
{
	for (size_t i = 0; i < window->n; i++) {
		struct sent *sent = window_at(window, i);

		if (!sent->out || sent->out->returned || !same_text(sent->out->message_id, returned->message_id) ||
			!same_text(sent->out->routing_key, returned->routing_key) ||
			!same_text(sent->out->exchange, returned->exchange))
			continue;
		sent->out->returned = true;
		return sent->out;
	}
	return NULL;
}

/* What was to be published once only is not published again: its holder is told. */
static void keep_or_end(struct outgoing_queue *queue, struct outgoing *out)
{
	if (out->promise == PROMISE_ONCE)
		outgoing_end(out, false);
	else
		outgoing_queue_add(queue, out);
}

void window_empty(struct window *window, struct outgoing_queue *waiting)
{
	struct outgoing_queue again;

	outgoing_queue_init(&again);
	for (size_t i = 0; i < window->n; i++)
		if (window_at(window, i)->out)
			keep_or_end(&again, TAKE(window_at(window, i)->out));
	window->n = 0;
	while (waiting->head)
		keep_or_end(&again, outgoing_queue_take(waiting));
	outgoing_queue_move(waiting, &again);
}
