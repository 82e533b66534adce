/* link: tests/fuzz/services/tick.c tests/fuzz/services/arena.c tests/fuzz/services/combat-settlement.c */
/* link: tests/fuzz/services/state-backup.c tests/fuzz/services/auth.c */
/*
 * Every command of every service: byte 1 chooses the command, byte 2 the lane, the rest is the body. What passes is written, parsed and
 * read again and must be the same; what does not pass must be refused in words that are valid JSON. Of what passes, the settlement's
 * own pure rules take the documents.
 */
#include <string.h>

#include "clock.h"
#include "dispatch.h"
#include "input.h"
#include "random_json.h"
#include "services/combat-settlement/fight_summary.h"
#include "services/combat-settlement/result_text.h"
#include "services/combat-settlement/settlement_plan.h"
#include "services/services.h"

#define CAP ((size_t)64 << 20)
#define HEAD 2

static const struct service *(*const services[])(void) = {
	service_tick,
	service_arena,
	service_combat_settlement,
	service_state_backup,
	service_auth,
};

static const struct command *choose(unsigned number, const struct service **service)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		n += services[i]()->n_commands;
	number %= (unsigned)n;
	for (size_t i = 0;; i++) {
		*service = services[i]();
		if (number < (*service)->n_commands)
			return &(*service)->commands[number];
		number -= (unsigned)(*service)->n_commands;
	}
}

static void check_reply(const struct call *call)
{
	CLEANUP(scratch_release) struct scratch scratch;
	CLEANUP(text_release) struct text reply = { 0 };
	const cJSON *json;
	struct error err;

	scratch_init(&scratch, CAP);
	reply_write(call, &reply);
	json = json_parse(reply.bytes, reply.len, &scratch, &err);
	if (!json || !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(json, "ok")))
		BUG("no error reply: %s", text_str(&reply));
}

static const char *write_and_read(
	const struct schema *schema, const void *in, void *out, struct text *text, struct scratch *scratch)
{
	struct problems problems = { 0 };
	struct error err;
	const cJSON *json;

	schema_write(schema, in, text);
	json = json_parse(text->bytes, text->len, scratch, &err);
	if (!json)
		return "no JSON";
	return schema_read(schema, json, out, scratch, &problems) ? problems.items[0].field : NULL;
}

static void check_written(const struct command *command, const void *args)
{
	CLEANUP(scratch_release) struct scratch scratch;
	CLEANUP(text_release) struct text first = { 0 };
	CLEANUP(text_release) struct text second = { 0 };
	const char *problem;
	void *again;

	scratch_init(&scratch, CAP);
	again = scratch_alloc(&scratch, command->request->size);
	problem = write_and_read(command->request, args, again, &first, &scratch);
	if (problem)
		BUG("%s: what was written is not taken: %s: %s", command->name, problem, text_str(&first));
	schema_write(command->request, again, &second);
	if (strcmp(text_str(&first), text_str(&second)) != 0)
		BUG("%s\nbecame %s", text_str(&first), text_str(&second));
}

static void check_summary(const struct result_document *document, struct scratch *scratch)
{
	static const struct item_name names[] = { { "item:", "", NULL }, { "wolf_pelt", "Шкура", "Pelt" } };
	const struct item_names known = { names, ARRAY_LEN(names) };
	struct fight_summary summary = fight_summary_of(document, &known, scratch), again = { 0 };

	for (size_t i = 0; i < summary.participants.n; i++)
		for (enum language language = 0; language < LANGUAGE_COUNT; language++) {
			CLEANUP(text_release) struct text text = { 0 };

			result_text_write(language, &summary,
				&((const struct fight_share *)summary.participants.items)[i], &text);
			if (!utf8_valid(text.bytes, text.len))
				BUG("the player's text is no UTF-8");
		}
	CLEANUP(text_release) struct text tombstone = { 0 };
	const char *problem = write_and_read(&fight_summary_schema, &summary, &again, &tombstone, scratch);

	if (problem)
		BUG("no tombstone: %s: %s", problem, text_str(&tombstone));
}

static void settle(const struct result_document *document, struct scratch *scratch)
{
	static const struct document_limits limits = { 64, INT64_C(1000000000000), 1000000 };
	struct document_problem problems[PROBLEMS_MAX];
	struct settlement_plan plan;
	const struct result_document *fights[1] = { document };

	if (document_check(document, &limits, problems, ARRAY_LEN(problems), scratch))
		return;
	plan_make(&plan, fights, 1, scratch);
	for (size_t row = 0; row < plan.belt.n; row++)
		plan_take(&plan, row, plan.belt.qty[row] / 2);
	plan_gather_shortfalls(&plan, scratch);
	for (size_t next = 0; next < plan.n_shortfalls;) {
		CLEANUP(text_release) struct text shortfalls = { 0 };

		plan_write_shortfalls(&plan, &next, &shortfalls);
		if (!json_parse(shortfalls.bytes, shortfalls.len, scratch, NULL))
			BUG("%s", text_str(&shortfalls));
	}
	check_summary(document, scratch);
}

void take_input(const uint8_t *data, size_t size)
{
	CLEANUP(scratch_release) struct scratch tree = { 0 };
	CLEANUP(scratch_release) struct scratch scratch = { 0 };
	const struct service *service;
	const struct command *command;
	char *body;

	if (size < HEAD)
		return;
	command = choose(data[0], &service);
	scratch_init(&tree, CAP);
	scratch_init(&scratch, CAP);
	body = scratch_memdup(&scratch, data + HEAD, size - HEAD);
	const struct message message = {
		.lane = data[1] % 8 ? (command_lanes(command) & LANE_RPC ? LANE_RPC : LANE_DURABLE) : LANE_DURABLE,
		.body = body,
		.body_len = size - HEAD,
		.routing_key = command->name,
		.attempt = 1,
		.received_us = clock_us(),
	};
	struct call call;

	call_init(&call, service, &message, NULL, NULL);
	if (!dispatch_prepare(&call, &tree)) {
		check_reply(&call);
	} else {
		check_written(command, call.args);
		if (command->request == &settle_combat_request)
			settle(call.args, &scratch);
	}
	call_release(&call);
}

size_t make_input(uint8_t *data, size_t size, size_t max, uint64_t seed)
{
	CLEANUP(text_release) struct text body = { 0 };
	const struct service *service;
	const struct command *command;

	(void)size;
	if (max < HEAD)
		return 0;
	data[0] = (uint8_t)random_next(&seed);
	data[1] = (uint8_t)random_next(&seed);
	command = choose(data[0], &service);
	random_json(&body, command->request, &seed);
	if (body.len > max - HEAD)
		body.len = max - HEAD;
	memcpy(data + HEAD, body.bytes, body.len);
	return body.len + HEAD;
}
