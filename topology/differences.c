#include "differences.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define QUEUE_COLUMNS                                                                                                  \
	"columns=name,durable,auto_delete,exclusive,arguments,policy,operator_policy,effective_policy_definition,"     \
	"messages_dlx,leader"
#define APPLY "garrisonctl topology apply"
#define REMAKE_QUEUE "stop its workers, let it run empty, delete it, " APPLY
#define REMAKE_EXCHANGE "delete it while nobody publishes to it, " APPLY

static void add(struct differences *found, const char *kind, const char *name, const char *advice, const char *format,
	...) __attribute__((format(printf, 5, 6)));

static void add(
	struct differences *found, const char *kind, const char *name, const char *advice, const char *format, ...)
{
	char words[512];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	if (found->n == found->room) {
		struct difference *items = scratch_array(found->scratch, found->room * 2 + 16, sizeof(*items));

		if (found->n)
			memcpy(items, found->items, found->n * sizeof(*items));
		found->items = items;
		found->room = found->room * 2 + 16;
	}
	found->n_lasting++;
	found->items[found->n++] = (struct difference){
		.kind = kind,
		.name = scratch_strdup(found->scratch, name),
		.problem = scratch_strdup(found->scratch, words),
		.advice = advice,
	};
}

static const char *string_of(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(value) ? value->valuestring : "";
}

static bool is_true(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static const cJSON *find(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) if (strcmp(string_of(item, "name"), name) == 0) return item;
	return NULL;
}

static void check_exchange(const char *name, const cJSON *exchanges, struct differences *found)
{
	const cJSON *there = find(exchanges, name);
	const cJSON *argument;

	if (!there) {
		add(found, "exchange", name, APPLY, "is missing");
		return;
	}
	if (strcmp(string_of(there, "type"), EXCHANGE_TYPE) != 0)
		add(found, "exchange", name, REMAKE_EXCHANGE, "its type is %s, not %s", string_of(there, "type"),
			EXCHANGE_TYPE);
	if (!is_true(there, "durable"))
		add(found, "exchange", name, REMAKE_EXCHANGE, "is not durable");
	if (is_true(there, "auto_delete"))
		add(found, "exchange", name, REMAKE_EXCHANGE, "deletes itself (auto_delete)");
	if (is_true(there, "internal"))
		add(found, "exchange", name, REMAKE_EXCHANGE, "takes no publications (internal)");
	cJSON_ArrayForEach(argument, cJSON_GetObjectItemCaseSensitive(there, "arguments"))
		add(found, "exchange", name, REMAKE_EXCHANGE, "has an argument %s", argument->string);
}

static const struct bus_header *wanted_argument(const struct topology_queue *queue, const char *name)
{
	for (size_t i = 0; i < queue->n_arguments; i++)
		if (strcmp(queue->arguments[i].name, name) == 0)
			return &queue->arguments[i];
	return NULL;
}

static bool argument_is(const cJSON *there, const struct bus_header *wanted)
{
	if (wanted->text)
		return cJSON_IsString(there) && strcmp(there->valuestring, wanted->text) == 0;
	return cJSON_IsNumber(there) && there->valuedouble == (double)wanted->number;
}

static void check_arguments(const struct topology_queue *queue, const cJSON *there, struct differences *found)
{
	const cJSON *item;

	for (size_t i = 0; i < queue->n_arguments; i++) {
		const struct bus_header *wanted = &queue->arguments[i];
		CLEANUP(text_release) struct text is = { 0 }, should = { 0 };

		item = cJSON_GetObjectItemCaseSensitive(there, wanted->name);
		if (item && argument_is(item, wanted))
			continue;
		if (item)
			json_write(&is, item);
		if (wanted->text)
			json_string(&should, wanted->text);
		else
			json_int(&should, wanted->number);
		add(found, "queue", queue->name, REMAKE_QUEUE, "%s is %s, not %s", wanted->name,
			item ? text_str(&is) : "not set", text_str(&should));
	}
	cJSON_ArrayForEach(item, there) if (!wanted_argument(queue, item->string))
		add(found, "queue", queue->name, REMAKE_QUEUE, "has an argument %s", item->string);
}

/* What a policy must not do to a queue whose arguments make its promises. */
static void check_policy(const struct topology_queue *queue, const cJSON *there, struct differences *found)
{
	static const char *const promises[] = { "delivery-limit", "message-ttl", "expires", "max-length",
		"max-length-bytes", "overflow", "dead-letter-exchange", "dead-letter-routing-key",
		"dead-letter-strategy" };
	const cJSON *policy = cJSON_GetObjectItemCaseSensitive(there, "effective_policy_definition");

	for (size_t i = 0; i < ARRAY_LEN(promises); i++)
		if (cJSON_GetObjectItemCaseSensitive(policy, promises[i]))
			add(found, "queue", queue->name, "change the policy so that it does not match this queue",
				"policy \"%s%s\" sets %s", string_of(there, "policy"),
				string_of(there, "operator_policy"), promises[i]);
}

/* At-least-once dead-lettering keeps what it cannot route, and a few of those block the queue for all behind them. */
static void check_undelivered(const struct topology_queue *queue, const cJSON *there, struct differences *found)
{
	const cJSON *undelivered = cJSON_GetObjectItemCaseSensitive(there, "messages_dlx");

	if (!cJSON_IsNumber(undelivered) || undelivered->valuedouble < 1)
		return;
	add(found, "queue", queue->name, "if they stay: the exchange they go to, or its binding, is missing",
		"has %.0f expired messages that wait to be dead-lettered", undelivered->valuedouble);
	found->items[found->n - 1].may_pass = true;
	found->n_lasting--;
}

/* RabbitMQ shows "leader": null where the queue's own process is not there; who is asked for a classic queue's says nothing. */
static void check_leader(const struct topology_queue *queue, const cJSON *there, struct differences *found)
{
	if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(there, "leader")))
		add(found, "queue", queue->name, "if it stays: delete it, for what it held is lost, and " APPLY,
			"has no leader, so nobody can use it");
}

static void check_queue(const struct topology_queue *queue, const cJSON *queues, struct differences *found)
{
	const cJSON *there = find(queues, queue->name);

	if (!there) {
		add(found, "queue", queue->name, APPLY, "is missing");
		return;
	}
	if (queue->durable && !is_true(there, "durable"))
		add(found, "queue", queue->name, REMAKE_QUEUE, "is not durable");
	if (!queue->durable && is_true(there, "durable"))
		add(found, "queue", queue->name, REMAKE_QUEUE,
			"is durable, and out of reach while its node of the cluster is down");
	if (is_true(there, "auto_delete"))
		add(found, "queue", queue->name, REMAKE_QUEUE, "deletes itself (auto_delete)");
	if (is_true(there, "exclusive"))
		add(found, "queue", queue->name, REMAKE_QUEUE, "belongs to one connection (exclusive)");
	check_arguments(queue, cJSON_GetObjectItemCaseSensitive(there, "arguments"), found);
	check_policy(queue, there, found);
	check_undelivered(queue, there, found);
	check_leader(queue, there, found);
}

static bool is_binding(const cJSON *there, const struct topology_queue *queue)
{
	return strcmp(string_of(there, "source"), queue->exchange) == 0 &&
	       strcmp(string_of(there, "routing_key"), queue->binding) == 0;
}

static void check_bindings(const struct topology_queue *queue, const cJSON *bindings, struct differences *found)
{
	const cJSON *there;
	bool bound = false;

	cJSON_ArrayForEach(there, bindings)
	{
		if (strcmp(string_of(there, "destination_type"), "queue") != 0 ||
			strcmp(string_of(there, "destination"), queue->name) != 0 || !*string_of(there, "source"))
			continue; /* the default exchange binds every queue */
		if (is_binding(there, queue))
			bound = true;
		else
			add(found, "binding", queue->name, "unbind it, unless you mean it",
				"is bound to %s by \"%s\" as well", string_of(there, "source"),
				string_of(there, "routing_key"));
	}
	if (!bound)
		add(found, "binding", queue->name, APPLY, "is not bound to %s by \"%s\"", queue->exchange,
			queue->binding);
}

static bool is_wanted(const struct topology *topology, const char *queue)
{
	for (size_t i = 0; i < topology->n_queues; i++)
		if (strcmp(topology->queues[i].name, queue) == 0)
			return true;
	return false;
}

/* Queues named as a rung of one of our services that the table does not have: RETRY_DELAYS was another once. */
static void check_leftovers(const struct topology *topology, const cJSON *queues, struct differences *found)
{
	const cJSON *there;

	cJSON_ArrayForEach(there, queues)
	{
		const char *name = string_of(there, "name");

		for (size_t i = 0; i < n_topology_services; i++) {
			CLEANUP(text_release) struct text prefix = { 0 };

			text_printf(&prefix, "game.%s.retry.", topology_services[i]);
			if (strncmp(name, text_str(&prefix), prefix.len) == 0 && !is_wanted(topology, name))
				add(found, "queue", name, "delete it once it is empty",
					"is a rung that RETRY_DELAYS does not name");
		}
	}
}

int topology_check(const struct topology *topology, struct management *management, struct scratch *scratch,
	struct differences *differences, struct error *err)
{
	const cJSON *exchanges, *queues, *bindings;
	struct differences found = { .scratch = scratch };

	if (management_get(management, "exchanges", NULL, scratch, &exchanges, err) ||
		management_get(management, "queues", QUEUE_COLUMNS, scratch, &queues, err) ||
		management_get(management, "bindings", NULL, scratch, &bindings, err))
		return -1;
	for (size_t i = 0; i < topology->n_exchanges; i++)
		check_exchange(topology->exchanges[i].name, exchanges, &found);
	for (size_t i = 0; i < topology->n_queues; i++) {
		check_queue(&topology->queues[i], queues, &found);
		if (find(queues, topology->queues[i].name))
			check_bindings(&topology->queues[i], bindings, &found);
	}
	check_leftovers(topology, queues, &found);
	*differences = found;
	return 0;
}
