#include "simulate.h"

#include "broker.h"
#include "clock.h"
#include "naming.h"

#define SETTLE_KEY "combat-settlement.settle_combat"
#define CONNECT_TIMEOUT_MS 1000
#define CONNECT_AGAIN_MS 1000
#define UNCONFIRMED_MAX 256

struct sim_fight *engine_fight(
	struct engine *engine, const struct uuid *session_id, const int64_t char_ids[2], int64_t matched_us)
{
	/* It is one of the newest, if it is there at all. */
	for (size_t i = engine->n; i > 0; i--)
		if (uuid_compare(&engine->fights[i - 1]->session_id, session_id) == 0)
			return engine->fights[i - 1];
	if (engine->n == engine->room) {
		engine->room = engine->room ? engine->room * 2 : 256;
		engine->fights = must_realloc(engine->fights, engine->room * sizeof(struct sim_fight *));
	}
	struct sim_fight *fight = must_zalloc(sizeof(*fight));

	fight_decide(fight, session_id, char_ids, matched_us);
	return engine->fights[engine->n++] = fight;
}

static size_t count_sent(const struct engine *engine)
{
	size_t n = 0;

	for (size_t i = engine->first_open; i < engine->n; i++)
		n += engine->fights[i]->stage == FIGHT_SENT;
	return n;
}

static int publish(struct engine *engine, struct sim_fight *fight, struct error *err)
{
	char session[UUID_TEXT_MAX];

	if (!fight->document.len)
		fight_write(fight, &fight->document);
	const struct bus_publication publication = {
		.exchange = EXCHANGE_COMMANDS,
		.routing_key = SETTLE_KEY,
		.type = name_command_of(SETTLE_KEY),
		.message_id = uuid_format(&fight->session_id, session),
		.body = fight->document.bytes,
		.body_len = fight->document.len,
		.persistent = true,
		.mandatory = true,
	};

	fight->sent_us = clock_us();
	if (!fight->first_sent_us)
		fight->first_sent_us = fight->sent_us;
	if (fight->twice && bus_publish(engine->bus, BUS_MAIN, &publication, NULL, err))
		return -1;
	engine->n_twice += fight->twice;
	if (bus_publish(engine->bus, BUS_MAIN, &publication, &fight->sequence, err))
		return -1;
	fight->stage = FIGHT_SENT;
	return 0;
}

static int publish_ended(struct engine *engine, bool hurry, struct error *err)
{
	int64_t now_us = clock_real_us();
	size_t unconfirmed = count_sent(engine);

	for (size_t i = engine->first_open; i < engine->n && unconfirmed < UNCONFIRMED_MAX; i++) {
		struct sim_fight *fight = engine->fights[i];

		if (fight->stage != FIGHT_FOUGHT || (!hurry && fight->ends_real_us > now_us))
			continue;
		if (publish(engine, fight, err))
			return -1;
		unconfirmed++;
	}
	return 0;
}

/* Confirmed, or refused, which means to say it again. */
static void decide_sent(struct engine *engine, const struct bus_event *event, enum fight_stage stage)
{
	for (size_t i = engine->first_open; i < engine->n; i++) {
		struct sim_fight *fight = engine->fights[i];

		if (fight->stage != FIGHT_SENT ||
			(event->multiple ? fight->sequence > event->tag : fight->sequence != event->tag))
			continue;
		fight->stage = stage;
		if (stage != FIGHT_CONFIRMED)
			continue;
		engine->n_confirmed++;
		histogram_add(&engine->stats->confirm, clock_us() - fight->sent_us);
	}
	while (engine->first_open < engine->n && engine->fights[engine->first_open]->stage == FIGHT_CONFIRMED)
		engine->first_open++;
}

static int take_confirms(struct engine *engine, struct error *err)
{
	struct bus_event event;

	do {
		if (bus_next(engine->bus, &event, err))
			return -1;
		if (event.kind == BUS_CONFIRMED)
			decide_sent(engine, &event, FIGHT_CONFIRMED);
		else if (event.kind == BUS_REJECTED)
			decide_sent(engine, &event, FIGHT_FOUGHT);
		else if (event.kind == BUS_RETURNED)
			return error_set(err, CODE_NOT_FOUND,
				"no queue takes " SETTLE_KEY ": is the topology applied? (garrisonctl topology check)");
	} while (event.kind != BUS_NOTHING);
	return bus_keep_alive(engine->bus) ? error_down(err, STORE_BROKER, "the connection to RabbitMQ is lost") : 0;
}

/* Nobody knows what became of those that were sent and not confirmed: they are said again. */
static void forget_connection(struct engine *engine)
{
	for (size_t i = 0; i < engine->n; i++)
		if (engine->fights[i]->stage == FIGHT_SENT)
			engine->fights[i]->stage = FIGHT_FOUGHT;
	bus_close(engine->bus, 0);
	engine->retry_ms = clock_ms();
	engine->n_reconnects++;
}

int engine_work(struct engine *engine, bool hurry, struct error *err)
{
	if (!bus_is_open(engine->bus)) {
		if (clock_ms() < engine->retry_ms)
			return 0;
		engine->retry_ms = clock_ms() + CONNECT_AGAIN_MS;
		if (bus_connect(engine->bus, true, CONNECT_TIMEOUT_MS, err))
			return 0;
	}
	if (publish_ended(engine, hurry, err) == 0 && take_confirms(engine, err) == 0)
		return 0;
	if (err->code == CODE_NOT_FOUND)
		return -1;
	forget_connection(engine);
	return 0;
}

int engine_wait_ms(const struct engine *engine, int most_ms)
{
	int64_t now_us = clock_real_us();

	for (size_t i = engine->first_open; i < engine->n; i++) {
		const struct sim_fight *fight = engine->fights[i];

		if (fight->stage == FIGHT_FOUGHT && fight->ends_real_us - now_us < (int64_t)most_ms * 1000)
			most_ms = fight->ends_real_us > now_us ? (int)((fight->ends_real_us - now_us) / 1000) + 1 : 1;
	}
	return most_ms;
}

bool engine_done(const struct engine *engine)
{
	return engine->n_confirmed == (int64_t)engine->n;
}

void engine_release(struct engine *engine)
{
	for (size_t i = 0; i < engine->n; i++) {
		text_release(&engine->fights[i]->document);
		free(engine->fights[i]);
	}
	free(engine->fights);
	bus_free(engine->bus);
}
