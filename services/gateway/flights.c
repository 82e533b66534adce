#include "flights.h"

#include <pthread.h>
#include <stdio.h>

#include "clock.h"
#include "gateway_metrics.h"
#include "gateway_settings.h"

#define CLOSE_POLL_MS 1

static struct {
	pthread_mutex_t mutex;
	struct exchange *head; /* not ended */
	size_t n;	       /* suspended; more than in the list while some are being resumed */
	bool closed;
} flights = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static bool have_room(void)
{
	return !flights.closed && flights.n < (size_t)gateway_settings.max_in_flight;
}

bool flights_have_room(void)
{
	bool room;

	pthread_mutex_lock(&flights.mutex);
	room = have_room();
	pthread_mutex_unlock(&flights.mutex);
	return room;
}

bool flight_begin(struct exchange *exchange, int timeout_ms)
{
	bool begun;

	pthread_mutex_lock(&flights.mutex);
	begun = have_room();
	if (begun) {
		/* Before anybody can resume it. */
		MHD_suspend_connection(exchange->connection);
		exchange->deadline_ms = clock_ms() + timeout_ms;
		exchange->next = flights.head;
		exchange->link = &flights.head;
		if (exchange->next)
			exchange->next->link = &exchange->next;
		flights.head = exchange;
		flights.n++;
	}
	pthread_mutex_unlock(&flights.mutex);
	if (begun)
		metric_add(&gateway_metrics[EXCHANGES_IN_FLIGHT], 1);
	return begun;
}

/* With the mutex held: the word is spoken, the connection still suspended. */
static void settle(struct exchange *exchange, enum code code, const char *message)
{
	exchange->ended = true;
	exchange->code = code;
	snprintf(exchange->message, sizeof(exchange->message), "%s", message ? message : "");
	*exchange->link = exchange->next;
	if (exchange->next)
		exchange->next->link = exchange->link;
}

/* Without the mutex. From here on the exchange belongs to the server's threads. */
static void resume(struct exchange *exchange)
{
	MHD_resume_connection(exchange->connection);
	metric_add(&gateway_metrics[EXCHANGES_IN_FLIGHT], -1);
	pthread_mutex_lock(&flights.mutex);
	flights.n--;
	pthread_mutex_unlock(&flights.mutex);
}

void flight_end(struct exchange *exchange, enum code code, const char *body, size_t body_len, const char *message)
{
	bool first;

	pthread_mutex_lock(&flights.mutex);
	first = !exchange->ended;
	if (first) {
		settle(exchange, code, message);
		if (body_len)
			text_add(&exchange->reply, body, body_len);
	}
	pthread_mutex_unlock(&flights.mutex);
	if (first)
		resume(exchange);
}

/* Takes one that is overdue out of the list; NULL when there is none. */
static struct exchange *take_overdue(int64_t now_ms, enum code code, const char *message)
{
	struct exchange *found = NULL;

	pthread_mutex_lock(&flights.mutex);
	for (struct exchange *exchange = flights.head; exchange && !found; exchange = exchange->next)
		if (exchange->deadline_ms <= now_ms)
			found = exchange;
	if (found)
		settle(found, code, message);
	pthread_mutex_unlock(&flights.mutex);
	return found;
}

void flights_expire(int64_t now_ms)
{
	struct exchange *exchange;

	while ((exchange = take_overdue(now_ms, CODE_TIMEOUT, "no answer in time")))
		resume(exchange);
}

void flights_close(const char *message)
{
	struct exchange *exchange;
	bool waiting = true;

	pthread_mutex_lock(&flights.mutex);
	flights.closed = true;
	pthread_mutex_unlock(&flights.mutex);
	while ((exchange = take_overdue(INT64_MAX, CODE_UNAVAILABLE, message)))
		resume(exchange);
	while (waiting) {
		pthread_mutex_lock(&flights.mutex);
		waiting = flights.n > 0;
		pthread_mutex_unlock(&flights.mutex);
		if (waiting)
			clock_sleep_ms(CLOSE_POLL_MS);
	}
}
