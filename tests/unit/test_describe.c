#include <string.h>

#include "check.h"
#include "describe.h"
#include "every_kind.h"

static enum outcome try_all(struct call *call)
{
	(void)call;
	return DONE;
}
static void try_many(struct batch *batch)
{
	(void)batch;
}

#define try_all_request every_schema
#define try_all_result pair_schema
#define try_many_request pair_schema
#define try_many_result group_schema

static const struct command commands[] = {
	COMMAND(try_all, "try_all", .timeout_ms = 500, .lanes = LANE_RPC, .help = "Try everything there is"),
	COMMAND(try_many, "try_many", .max_attempts = 2, .body_max = 8 << 20, .help = "Try many"),
};

static int64_t sweep(struct call *call)
{
	(void)call;
	return 1000;
}
static const struct service_event events[] = {
	{ "tried", "Something was tried", &try_all_result },
};
static const struct timer timers[] = {
	{ "sweep", "returns what a dead worker held", sweep, 1, 0 },
};

struct delay {
	int64_t ms;
};
struct knobs {
	int64_t timeout_ms;
	int64_t attempts;
	struct list delays;
	const char *url;
	bool events;
};
static const struct field delay_fields[] = { FIELD(struct delay, ms, .as = "", .unit = UNIT_MS, .min = 1) };
static const struct schema delay_schema = SCHEMA(struct delay, delay_fields);
static const struct field knobs_fields[] = {
	FIELD(struct knobs, timeout_ms, .as = "COMMAND_PROCESSING_TIMEOUT", .unit = UNIT_MS, .preset = "10s", .min = 1,
		.max = 3600000, .help = "a command's soft deadline, unless its table row says another"),
	FIELD(struct knobs, attempts, .as = "MAX_ATTEMPTS", .preset = "5", .min = 1, .max = 100,
		.help = "attempts in all"),
	FIELD(struct knobs, delays, .as = "RETRY_DELAYS", .preset = "1s,10s,60s,10m", .of = &delay_schema, .min = 1,
		.max = 16, .help = "the rungs"),
	FIELD(struct knobs, url, .as = "REDIS_URL", .preset = "redis://127.0.0.1:6379/0", .secret = true,
		.help = "Redis"),
	FIELD(struct knobs, events, .as = "TICK_EVENTS", .preset = "off"),
};
static const struct schema knobs_schema = SCHEMA(struct knobs, knobs_fields);
static struct knobs knobs;
static const struct settings_group groups[] = { { &knobs_schema, &knobs } };

static const struct service service = {
	.name = "trial",
	.summary = "Try what a service says of itself",
	.commands = commands,
	.n_commands = ARRAY_LEN(commands),
	.events = events,
	.n_events = ARRAY_LEN(events),
	.timers = timers,
	.n_timers = ARRAY_LEN(timers),
};

static void help_is_readable(void)
{
	CLEANUP(text_release) struct text help = { 0 };

	describe_help(&service, groups, ARRAY_LEN(groups), &help);
	for (const char *line = help.bytes; *line; line += strcspn(line, "\n") + 1)
		if (!CHECK(strcspn(line, "\n") <= 100))
			break;
	CHECK_HAS(help.bytes, "garrison-trial: Try what a service says of itself\n");
	CHECK_HAS(help.bytes, "  try_all  (game.rpc; within 500ms; body up to 1 MiB)\n");
	CHECK_HAS(help.bytes, "  try_many  (game.commands, game.rpc; within 10s; 2 attempts; body up to 8 MiB)\n");
	CHECK_HAS(help.bytes, "      count      integer, 1 to 64, required: how many\n");
	CHECK_HAS(help.bytes, "      colour     red, green or blue, default green\n");
	CHECK_HAS(help.bytes, "      scores     map id → integer, 0 to 1000; up to 64 entries, optional\n");
	CHECK_HAS(help.bytes, "        left     integer, required: the left one\n");
	CHECK_HAS(help.bytes, "  MAX_ATTEMPTS                5               attempts in all (integer, 1 to 100)\n");
	CHECK_HAS(help.bytes, "  COMMAND_PROCESSING_TIMEOUT  10s ");
	CHECK_HAS(help.bytes, "Events (exchange game.events, routing key trial.<event>)\n\n  tried\n    Something was "
			      "tried\n    tells\n");
	CHECK_HAS(help.bytes, "sweep                 returns what a dead worker held\n");
}

static void json_is_json(void)
{
	static const char metrics[] = "# HELP garrison_tries_total How often\n# TYPE garrison_tries_total counter\n"
				      "garrison_tries_total 1\n# HELP up Is it up\n# TYPE up gauge\n";
	CLEANUP(text_release) struct text json = { 0 };
	CLEANUP(text_release) struct text part = { 0 };
	CLEANUP(scratch_release) struct scratch scratch;
	const cJSON *root, *command;
	struct error err;

	scratch_init(&scratch, 1 << 20);
	describe_json(&service, groups, ARRAY_LEN(groups), metrics, &json);
	root = json_parse(json.bytes, json.len, &scratch, &err);
	if (!CHECK(root != NULL))
		return;
	CHECK_STR(cJSON_GetObjectItemCaseSensitive(root, "service")->valuestring, "trial");
	json_write(&part, cJSON_GetObjectItemCaseSensitive(root, "queues"));
	CHECK_STR(part.bytes, "[\"game.trial\",\"game.trial.rpc\",\"game.trial.dead\",\"game.trial.retry.1s\","
			      "\"game.trial.retry.10s\",\"game.trial.retry.60s\",\"game.trial.retry.10m\"]");
	command = cJSON_GetObjectItemCaseSensitive(root, "commands")->child;
	text_reset(&part);
	json_write(&part, cJSON_GetObjectItemCaseSensitive(command, "lanes"));
	CHECK_STR(part.bytes, "[\"rpc\"]");
	CHECK_INT((int64_t)cJSON_GetObjectItemCaseSensitive(command, "timeout_ms")->valuedouble, 500);
	CHECK_INT((int64_t)cJSON_GetObjectItemCaseSensitive(command->next, "timeout_ms")->valuedouble, 10000);
	CHECK_INT((int64_t)cJSON_GetObjectItemCaseSensitive(command->next, "max_attempts")->valuedouble, 2);
	CHECK_INT((int64_t)cJSON_GetObjectItemCaseSensitive(command->next, "body_max")->valuedouble, 8 << 20);
	CHECK_HAS(json.bytes, "{\"name\":\"COMMAND_PROCESSING_TIMEOUT\",\"type\":\"duration\",\"default\":\"10s\","
			      "\"unit\":\"duration\",");
	CHECK_HAS(json.bytes, "\"metrics\":[{\"name\":\"garrison_tries_total\",\"type\":\"counter\","
			      "\"help\":\"How often\"},{\"name\":\"up\",\"type\":\"gauge\",\"help\":\"Is it up\"}]");
	CHECK_HAS(json.bytes, "\"events\":[{\"name\":\"tried\",\"help\":\"Something was tried\",\"body\":{");
	CHECK_HAS(json.bytes, "\"timers\":[{\"name\":\"sweep\",\"help\":\"returns what a dead worker held\"}]");
}

static const struct check_test tests[] = {
	CHECK_TEST(help_is_readable),
	CHECK_TEST(json_is_json),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
