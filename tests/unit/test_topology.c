#include <string.h>

#include "check.h"
#include "json.h"
#include "topology/management.h"
#include "topology/topology.h"

static const char one_broker[] = "amqp://127.0.0.1/";
static const int64_t delays_ms[] = { 1000, 10000, 1000, 600000 };

static const struct topology_queue *find(const struct topology *topology, const char *name)
{
	for (size_t i = 0; i < topology->n_queues; i++)
		if (strcmp(topology->queues[i].name, name) == 0)
			return &topology->queues[i];
	return NULL;
}

static const char *text_argument(const struct topology_queue *queue, const char *name)
{
	for (size_t i = 0; i < queue->n_arguments; i++)
		if (strcmp(queue->arguments[i].name, name) == 0)
			return queue->arguments[i].text;
	return NULL;
}

static int64_t number_argument(const struct topology_queue *queue, const char *name)
{
	for (size_t i = 0; i < queue->n_arguments; i++)
		if (strcmp(queue->arguments[i].name, name) == 0)
			return queue->arguments[i].number;
	return -1;
}

static void every_service_has_every_kind(void)
{
	CLEANUP(topology_drop) struct topology *topology = topology_new(one_broker, delays_ms, ARRAY_LEN(delays_ms));
	char name[BROKER_NAME_MAX];

	/* Two rungs of one delay are one. */
	CHECK_INT((int64_t)topology->n_exchanges, 4 + 3);
	CHECK_INT((int64_t)topology->n_queues, (int64_t)n_topology_services * (3 + 3));
	for (size_t i = 0; i < n_topology_services; i++) {
		CHECK(find(topology, name_queue(topology_services[i], name)));
		CHECK(find(topology, name_rpc_queue(topology_services[i], name)));
		CHECK(find(topology, name_dead_queue(topology_services[i], name)));
		CHECK(find(topology, name_rung_queue(topology_services[i], 600000, name)));
	}
}

static void no_name_comes_twice(void)
{
	CLEANUP(topology_drop) struct topology *topology = topology_new(one_broker, delays_ms, ARRAY_LEN(delays_ms));

	for (size_t i = 0; i < topology->n_queues; i++)
		CHECK(find(topology, topology->queues[i].name) == &topology->queues[i]);
}

static void a_rung_leads_back_to_the_commands(void)
{
	CLEANUP(topology_drop) struct topology *topology = topology_new(one_broker, delays_ms, ARRAY_LEN(delays_ms));
	const struct topology_queue *rung = find(topology, "game.tick.retry.10s");

	if (!CHECK(rung))
		return;
	CHECK_STR(rung->exchange, "game.retry.10s");
	CHECK_STR(rung->binding, "tick.#");
	CHECK_INT(number_argument(rung, "x-message-ttl"), 10000);
	CHECK_STR(text_argument(rung, "x-dead-letter-exchange"), "game.commands");
	CHECK_STR(text_argument(rung, "x-dead-letter-routing-key"), NULL);
	CHECK_STR(text_argument(rung, "x-dead-letter-strategy"), "at-least-once");
	CHECK_STR(text_argument(rung, "x-overflow"), "reject-publish");
}

static void nothing_has_a_delivery_limit(void)
{
	CLEANUP(topology_drop) struct topology *topology = topology_new(one_broker, delays_ms, ARRAY_LEN(delays_ms));

	for (size_t i = 0; i < topology->n_queues; i++)
		CHECK_INT(number_argument(&topology->queues[i], "x-delivery-limit"), -1);
}

static void an_export_holds_the_whole_table(void)
{
	CLEANUP(topology_drop) struct topology *topology = topology_new(one_broker, delays_ms, ARRAY_LEN(delays_ms));
	CLEANUP(text_release) struct text out = { 0 };
	struct scratch scratch;
	struct error err;

	scratch_init(&scratch, 1 << 22);
	topology_export(topology, "a/b", &out);
	const cJSON *json = json_parse(text_str(&out), out.len, &scratch, &err);

	if (CHECK(json)) {
		const cJSON *queues = cJSON_GetObjectItemCaseSensitive(json, "queues");

		CHECK_INT(cJSON_GetArraySize(queues), (int64_t)topology->n_queues);
		CHECK_INT(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "bindings")),
			(int64_t)topology->n_queues);
		CHECK_INT(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "exchanges")),
			(int64_t)topology->n_exchanges);
		CHECK_STR(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(queues, 0), "vhost")->valuestring, "a/b");
	}
	scratch_release(&scratch);
}

static void request_queues_are_transient_in_a_cluster(void)
{
	CLEANUP(topology_drop)
	struct topology *topology = topology_new("amqp://a:1/,amqp://b:1/", delays_ms, ARRAY_LEN(delays_ms));
	CLEANUP(topology_drop) struct topology *alone = topology_new(one_broker, delays_ms, ARRAY_LEN(delays_ms));

	for (size_t i = 0; i < topology->n_queues; i++) {
		CHECK(topology->queues[i].durable == (topology->queues[i].kind != QUEUE_RPC));
		CHECK(alone->queues[i].durable);
	}
}

static void a_vhost_is_read_from_the_url(void)
{
	static const struct {
		const char *url, *vhost;
	} cases[] = {
		{ "amqp://guest:guest@127.0.0.1:5672/", "/" },
		{ "amqp://guest:guest@127.0.0.1:5672", "/" },
		{ "amqp://127.0.0.1/game", "game" },
		{ "amqp://127.0.0.1/%2fgame%2F", "/game/" },
		{ "amqps://u:p@[::1]:5671/game?heartbeat=10", "game" },
		{ "amqp://a:1/one,amqp://b:1/two", "one" },
		{ "amqp://a:1,amqp://b:1/two", "/" },
	};
	char vhost[VHOST_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (CHECK_INT(vhost_of_url(cases[i].url, vhost, NULL), 0))
			CHECK_STR(vhost, cases[i].vhost);
}

static void a_wrong_escape_is_refused(void)
{
	static const char *const urls[] = { "amqp://a/%", "amqp://a/%2", "amqp://a/%zz", "amqp://a/x%00" };
	char vhost[VHOST_MAX];
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		CHECK_INT(vhost_of_url(urls[i], vhost, &err), -1);
		CHECK_INT(err.code, CODE_INVALID_PAYLOAD);
		CHECK_HAS(err.text, "AMQP_URL");
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(every_service_has_every_kind),
	CHECK_TEST(no_name_comes_twice),
	CHECK_TEST(a_rung_leads_back_to_the_commands),
	CHECK_TEST(nothing_has_a_delivery_limit),
	CHECK_TEST(an_export_holds_the_whole_table),
	CHECK_TEST(request_queues_are_transient_in_a_cluster),
	CHECK_TEST(a_vhost_is_read_from_the_url),
	CHECK_TEST(a_wrong_escape_is_refused),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
