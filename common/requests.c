/* Requests to other services over game.rpc, and the answers that come to the direct reply queue. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "naming.h"
#include "publisher_internal.h"

#define DIRECT_REPLY_TO "amq.rabbitmq.reply-to"
#define EXPIRY_SCAN_MS 20
#define TARGET_FRESH_MS 1000
/* A worker that drains has stopped consuming but still answers: a request is given up only when it has waited this long. */
#define UNCONSUMED_GRACE_MS 1000
#define NO_SLOT UINT32_MAX

static struct metric request_metrics[] = {
	{ "requests_total", "Requests sent to other services", METRIC_COUNTER, 0, 0 },
	{ "requests_timed_out_total", "Requests without a reply in time", METRIC_COUNTER, 0, 0 },
	{ "replies_late_total", "Replies that came when nobody waited any longer", METRIC_COUNTER, 0, 0 },
	{ "requests_in_flight", "Requests waiting for a reply", METRIC_GAUGE, 0, 0 },
};
enum { REQUESTS, TIMED_OUT, LATE, IN_FLIGHT };

static const char *copy_part(char **at, const char *text)
{
	char *copy = *at;
	size_t size;

	if (!text)
		return NULL;
	size = strlen(text) + 1;
	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static size_t part_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

struct request *request_new(const struct rpc_request *wanted, rpc_done_fn *done, void *arg)
{
	size_t strings = part_size(wanted->routing_key) + part_size(wanted->message_id) +
			 part_size(wanted->traceparent) + part_size(wanted->client);
	struct request *request = must_zalloc(sizeof(*request) + strings + wanted->body_len);
	char *at = (char *)(request + 1);

	request->done = done;
	request->arg = arg;
	request->sent_ms = clock_ms();
	request->deadline_ms = request->sent_ms + wanted->timeout_ms;
	request->routing_key = copy_part(&at, wanted->routing_key);
	request->message_id = copy_part(&at, wanted->message_id);
	request->traceparent = copy_part(&at, wanted->traceparent);
	request->client = copy_part(&at, wanted->client);
	request->body = memcpy(at, wanted->body, wanted->body_len);
	request->body_len = wanted->body_len;
	return request;
}

void request_end(struct request *request, enum code code, const char *message)
{
	request->done(request->arg, code, NULL, 0, message);
	free(request);
}

static struct request *take_slot(struct requests *requests, uint32_t index)
{
	struct slot *slot = &requests->slots[index];
	struct request *request = TAKE(slot->request);

	slot->serial++;
	slot->next_free = requests->first_free;
	requests->first_free = index;
	requests->in_flight--;
	metric_set(&request_metrics[IN_FLIGHT], (int64_t)requests->in_flight);
	return request;
}

void requests_fail_all(struct requests *requests, const char *why)
{
	for (uint32_t i = 0; i < requests->n_slots; i++)
		if (requests->slots[i].request)
			request_end(take_slot(requests, i), CODE_UNAVAILABLE, why);
}

void requests_release(struct requests *requests)
{
	free(requests->slots);
}

void requests_init(struct requests *requests)
{
	requests->first_free = NO_SLOT;
}

void requests_count(void)
{
	metrics_register(request_metrics, ARRAY_LEN(request_metrics));
}

int requests_connected(struct requests *requests, struct bus *bus, struct error *err)
{
	requests->epoch++;
	requests->n_targets = 0;
	return bus_consume(bus, BUS_PLAIN, DIRECT_REPLY_TO, "replies", 0, true, err);
}

/* ---- who consumes where ---- */

static struct target *target_of(struct requests *requests, const char *routing_key)
{
	char queue[BROKER_NAME_MAX], service[BROKER_NAME_MAX];
	struct target *target;

	snprintf(service, sizeof(service), "%.*s", (int)strcspn(routing_key, "."), routing_key);
	name_rpc_queue(service, queue);
	for (size_t i = 0; i < requests->n_targets; i++)
		if (strcmp(requests->targets[i].queue, queue) == 0)
			return &requests->targets[i];
	if (requests->n_targets == TARGETS_MAX)
		return NULL;
	target = &requests->targets[requests->n_targets++];
	*target = (struct target){ .asked_ms = -TARGET_FRESH_MS };
	snprintf(target->queue, sizeof(target->queue), "%s", queue);
	return target;
}

static void ask(struct bus *bus, struct target *target)
{
	if (bus_ask_queue(bus, target->queue) == 0)
		target->asked_ms = clock_ms();
}

static void ask_when_stale(struct bus *bus, struct target *target)
{
	if (clock_ms() - target->asked_ms >= TARGET_FRESH_MS)
		ask(bus, target);
}

static bool nobody_consumes(const struct target *target)
{
	return target && target->known && target->consumers == 0 && clock_ms() - target->asked_ms < 2 * TARGET_FRESH_MS;
}

/* ---- sending ---- */

static uint32_t free_slot(struct requests *requests)
{
	uint32_t index = requests->first_free;

	if (index == NO_SLOT) {
		uint32_t n = requests->n_slots ? requests->n_slots * 2 : 64;

		if (requests->n_slots == REQUESTS_MAX)
			return NO_SLOT;
		requests->slots = must_realloc(requests->slots, n * sizeof(*requests->slots));
		for (uint32_t i = n; i-- > requests->n_slots;) {
			requests->slots[i] = (struct slot){ .next_free = requests->first_free };
			requests->first_free = i;
		}
		requests->n_slots = n;
		index = requests->first_free;
	}
	requests->first_free = requests->slots[index].next_free;
	return index;
}

static int publish_request(struct bus *bus, const struct request *request, const char *correlation_id)
{
	int64_t left_ms = clock_left_ms(request->deadline_ms);
	struct bus_header headers[3] = { { .name = "g-deadline", .number = clock_real_us() / 1000 + left_ms } };
	struct bus_publication publication = {
		.exchange = EXCHANGE_RPC,
		.routing_key = request->routing_key,
		.type = name_command_of(request->routing_key),
		.body = request->body,
		.body_len = request->body_len,
		.message_id = request->message_id,
		.correlation_id = correlation_id,
		.reply_to = DIRECT_REPLY_TO,
		.headers = headers,
		.n_headers = 1,
		.mandatory = true,
	};
	char expiration[24];

	snprintf(expiration, sizeof(expiration), "%" PRId64, left_ms);
	publication.expiration = expiration;
	if (request->traceparent)
		headers[publication.n_headers++] = (struct bus_header){ .name = "traceparent",
			.text = request->traceparent };
	if (request->client)
		headers[publication.n_headers++] = (struct bus_header){ .name = "g-client", .text = request->client };
	return bus_publish(bus, BUS_PLAIN, &publication, NULL, NULL);
}

static void send_slot(struct requests *requests, struct bus *bus, uint32_t index)
{
	struct slot *slot = &requests->slots[index];
	char correlation_id[40];

	slot->held = false;
	metric_add(&request_metrics[REQUESTS], 1);
	snprintf(correlation_id, sizeof(correlation_id), "%x-%x-%x", requests->epoch, index, slot->serial);
	/* A connection that failed here shows at the next read, and then every request in flight is ended. */
	publish_request(bus, slot->request, correlation_id);
}

/* Where nobody consumed when last asked, somebody may by now: the request is held for the broker's word, not refused on an old one. */
void requests_send(struct requests *requests, struct bus *bus, struct request *request)
{
	struct target *target = target_of(requests, request->routing_key);
	uint32_t index = free_slot(requests);

	if (index == NO_SLOT) {
		request_end(request, CODE_UNAVAILABLE, "too many requests in flight");
		return;
	}
	requests->slots[index].request = request;
	requests->slots[index].held = target && target->known && target->consumers == 0;
	requests->in_flight++;
	metric_set(&request_metrics[IN_FLIGHT], (int64_t)requests->in_flight);
	if (requests->slots[index].held) {
		ask(bus, target);
		return;
	}
	if (target)
		ask_when_stale(bus, target);
	send_slot(requests, bus, index);
}

static void end_unserved(struct requests *requests, uint32_t index, const struct target *target)
{
	request_end(take_slot(requests, index), CODE_UNAVAILABLE,
		!target || target->exists ? "nobody serves this command now" : "there is no such service");
}

static void decide_held(struct requests *requests, struct bus *bus, const struct target *target)
{
	for (uint32_t i = 0; i < requests->n_slots; i++) {
		const struct slot *slot = &requests->slots[i];

		if (!slot->request || !slot->held || target_of(requests, slot->request->routing_key) != target)
			continue;
		if (target->consumers > 0)
			send_slot(requests, bus, i);
		else
			end_unserved(requests, i, target);
	}
}

void requests_queue_info(struct requests *requests, struct bus *bus, const struct bus_event *info)
{
	for (size_t i = 0; i < requests->n_targets; i++) {
		struct target *target = &requests->targets[i];
		bool was_empty = target->known && target->consumers == 0;

		if (strcmp(target->queue, info->text) != 0)
			continue;
		target->known = true;
		target->exists = info->kind == BUS_QUEUE_INFO;
		target->consumers = target->exists ? info->consumers : 0;
		target->waiting = target->exists ? info->messages : 0;
		if (was_empty)
			decide_held(requests, bus, target);
	}
}

/* ---- answers ---- */

static bool slot_of(const struct requests *requests, const char *correlation_id, uint32_t *index)
{
	unsigned epoch, slot, serial;

	if (!correlation_id || sscanf(correlation_id, "%x-%x-%x", &epoch, &slot, &serial) != 3)
		return false;
	*index = slot;
	return epoch == requests->epoch && slot < requests->n_slots && requests->slots[slot].request &&
	       requests->slots[slot].serial == serial;
}

void requests_answer(struct requests *requests, const struct bus_delivery *delivery, bool returned)
{
	struct request *request;
	uint32_t index;

	if (!slot_of(requests, delivery->correlation_id, &index)) {
		/* A reply whose requester is gone may be returned too; it is nobody's loss here. */
		if (!returned)
			metric_add(&request_metrics[LATE], 1);
		return;
	}
	request = take_slot(requests, index);
	if (returned) {
		request_end(request, CODE_UNAVAILABLE, "there is no such service");
		return;
	}
	request->done(request->arg, CODE_OK, delivery->body, delivery->body_len, NULL);
	free(request);
}

static void expire_one(struct requests *requests, struct bus *bus, uint32_t index, int64_t now_ms)
{
	const struct slot *slot = &requests->slots[index];
	struct target *target = target_of(requests, slot->request->routing_key);

	if (now_ms >= slot->request->deadline_ms) {
		metric_add(&request_metrics[TIMED_OUT], 1);
		if (slot->held || nobody_consumes(target))
			end_unserved(requests, index, target);
		else
			request_end(take_slot(requests, index), CODE_TIMEOUT, "no reply in time");
		return;
	}
	if (!target)
		return;
	if (slot->held) {
		ask(bus, target);
		return;
	}
	if (now_ms - slot->request->sent_ms < UNCONSUMED_GRACE_MS)
		return;
	ask_when_stale(bus, target);
	/* Where none waits it is in somebody's hands: a worker that takes no more is still finishing what it has. */
	if (nobody_consumes(target) && (target->waiting || !target->exists))
		end_unserved(requests, index, target);
}

int requests_expire(struct requests *requests, struct bus *bus, int limit_ms)
{
	int64_t now_ms = clock_ms();

	if (requests->in_flight == 0)
		return limit_ms;
	if (now_ms >= requests->next_scan_ms) {
		for (uint32_t i = 0; i < requests->n_slots; i++)
			if (requests->slots[i].request)
				expire_one(requests, bus, i, now_ms);
		requests->next_scan_ms = now_ms + EXPIRY_SCAN_MS;
	}
	return (int)(requests->next_scan_ms - now_ms);
}

/* ---- waiting callers ---- */

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t answered;
	bool done;
	enum code code;
	char *reply;
	size_t reply_len;
	char message[160];
};

static void wake_waiter(void *arg, enum code code, const char *body, size_t body_len, const char *message)
{
	struct waiter *waiter = arg;

	pthread_mutex_lock(&waiter->mutex);
	waiter->code = code;
	if (code == CODE_OK) {
		waiter->reply = must_alloc(body_len + 1);
		memcpy(waiter->reply, body, body_len);
		waiter->reply[body_len] = '\0';
		waiter->reply_len = body_len;
	} else {
		snprintf(waiter->message, sizeof(waiter->message), "%s", message);
	}
	waiter->done = true;
	pthread_cond_signal(&waiter->answered);
	pthread_mutex_unlock(&waiter->mutex);
}

int publisher_request_wait(struct publisher *publisher, const struct rpc_request *request, char **reply,
	size_t *reply_len, struct error *err)
{
	struct waiter waiter = { .mutex = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER };

	/* Every request ends, at the latest by its own time limit: no limit is needed here. */
	publisher_request(publisher, request, wake_waiter, &waiter);
	pthread_mutex_lock(&waiter.mutex);
	while (!waiter.done)
		pthread_cond_wait(&waiter.answered, &waiter.mutex);
	pthread_mutex_unlock(&waiter.mutex);
	pthread_cond_destroy(&waiter.answered);
	pthread_mutex_destroy(&waiter.mutex);
	if (waiter.code != CODE_OK)
		return error_set(err, waiter.code, "%s: %s", request->routing_key, waiter.message);
	*reply = waiter.reply;
	*reply_len = waiter.reply_len;
	return 0;
}
