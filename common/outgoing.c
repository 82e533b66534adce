#include <stdlib.h>
#include <string.h>

#include "publisher_internal.h"

struct outgoing *outgoing_new(size_t text_size, size_t max_headers)
{
	size_t headers_size = max_headers * sizeof(struct bus_header);
	struct outgoing *out = must_alloc(sizeof(*out) + headers_size + text_size);

	*out = (struct outgoing){
		.headers = (struct bus_header *)(out + 1),
		.max_headers = max_headers,
		.room = (char *)(out + 1) + headers_size,
		.room_left = text_size,
	};
	return out;
}

void outgoing_free(struct outgoing *out)
{
	free(out);
}

const char *outgoing_bytes(struct outgoing *out, const char *bytes, size_t len)
{
	char *copy = out->room;

	if (len + 1 > out->room_left)
		BUG("a message without room for %zu bytes", len);
	if (len)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	out->room += len + 1;
	out->room_left -= len + 1;
	return copy;
}

const char *outgoing_text(struct outgoing *out, const char *text)
{
	return text ? outgoing_bytes(out, text, strlen(text)) : NULL;
}

void outgoing_header(struct outgoing *out, const char *name, const char *text, int64_t number)
{
	if (out->n_headers == out->max_headers)
		BUG("a message without room for header %s", name);
	out->headers[out->n_headers++] =
		(struct bus_header){ .name = name, .text = outgoing_text(out, text), .number = number };
}

size_t outgoing_size(const struct outgoing *out)
{
	return (size_t)(out->room - (const char *)(out + 1));
}

void outgoing_queue_init(struct outgoing_queue *queue)
{
	*queue = (struct outgoing_queue){ .tail = &queue->head };
}

void outgoing_queue_add(struct outgoing_queue *queue, struct outgoing *out)
{
	out->next = NULL;
	*queue->tail = out;
	queue->tail = &out->next;
	queue->n++;
}

struct outgoing *outgoing_queue_take(struct outgoing_queue *queue)
{
	struct outgoing *out = queue->head;

	queue->head = out->next;
	if (!queue->head)
		queue->tail = &queue->head;
	queue->n--;
	return out;
}

void outgoing_queue_move(struct outgoing_queue *queue, struct outgoing_queue *from)
{
	if (!from->head)
		return;
	*queue->tail = from->head;
	queue->tail = from->tail;
	queue->n += from->n;
	outgoing_queue_init(from);
}

void outgoing_end(struct outgoing *out, bool confirmed)
{
	if (out->done)
		out->done(out->arg, confirmed);
	outgoing_free(out);
}
