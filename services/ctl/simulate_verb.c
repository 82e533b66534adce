#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "broker.h"
#include "clock.h"
#include "simulate.h"
#include "verbs.h"

#define PROGRESS_MS 250
#define WAIT_MAX_MS 100
/* Each costs the fleet a good part of a tenth of a second of one processor. */
#define PASSWORDS_MAX 4
#define AUDIT_KEEP 1000

/* clang-format off */
static const struct field option_fields[] = {
	FIELD(struct simulate_options, players, .preset = "50", .min = 2, .max = 10000, .help = "how many"),
	FIELD(struct simulate_options, seconds, .preset = "60", .min = 1, .max = 7 * 86400, .help = "how long they play"),
	FIELD(struct simulate_options, rate, .preset = "200", .min = 1, .max = 100000,
		.help = "calls a second of all of them together, about"),
	FIELD(struct simulate_options, seed, .preset = "1", .max = INT_LIMIT,
		.help = "who they are and what they do; the same seed is the same crowd"),
	FIELD(struct simulate_options, gateway, .preset = "http://127.0.0.1:8080", .min = 1, .max = 256, .help = "its URL"),
	FIELD(struct simulate_options, wait_ms, .as = "wait", .unit = UNIT_MS, .preset = "30s", .max = 3600 * 1000,
		.help = "how long the last fights may take to be settled"),
	FIELD(struct simulate_options, patience_ms, .as = "patience", .unit = UNIT_MS, .preset = "5s", .max = 3600 * 1000,
		.help = "of the audit at the end"),
	FIELD(struct simulate_options, no_audit, .as = "no-audit", .help = "no audit at the end"),
};
/* clang-format on */
const struct schema simulate_options = SCHEMA(struct simulate_options, option_fields, .name = "simulate");

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
	(void)signal_number;
	stop_asked = 1;
}

static void simulation_release(struct simulation *simulation)
{
	for (size_t i = 0; i < simulation->n; i++) {
		if (simulation->players[i].busy)
			curl_multi_remove_handle(simulation->multi, simulation->players[i].easy);
		player_release(&simulation->players[i]);
	}
	free(simulation->players);
	curl_multi_cleanup(simulation->multi);
	engine_release(&simulation->engine);
}

/* They do not come all at once: the first fifth of the time is for coming. */
static void invite(struct simulation *simulation)
{
	const struct simulate_options *options = simulation->options;
	int64_t now_ms = clock_ms();

	simulation->n = (size_t)options->players;
	simulation->players = must_zalloc(simulation->n * sizeof(*simulation->players));
	for (size_t i = 0; i < simulation->n; i++) {
		player_init(&simulation->players[i], (uint64_t)options->seed, i);
		simulation->players[i].due_ms = now_ms +
						(int64_t)i * options->seconds * 1000 / 5 / (int64_t)simulation->n;
	}
}

/* Sends what is due; returns how long nothing else will be, at most so long. */
static int send_due(struct simulation *simulation, int most_ms)
{
	int64_t now_ms = clock_ms(), next_ms = now_ms + most_ms;

	for (size_t i = 0; i < simulation->n; i++) {
		struct player *player = &simulation->players[i];
		enum sim_call call;

		if (player->busy || player->stage == PLAYER_GONE)
			continue;
		if (player->due_ms <= now_ms && player_next(player, simulation->leaving, &call)) {
			bool password = call == CALL_REGISTER || call == CALL_LOGIN;

			if (password && simulation->n_passwords >= PASSWORDS_MAX)
				continue; /* an answer to one of those will wake us */
			http_send(simulation, player, call);
		} else if (player->stage != PLAYER_GONE && player->due_ms < next_ms) {
			next_ms = player->due_ms;
		}
	}
	return next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
}

static int step(struct simulation *simulation, struct error *err)
{
	static int64_t shown_ms;
	int wait_ms = send_due(simulation, WAIT_MAX_MS);

	if (engine_work(&simulation->engine, simulation->leaving, err))
		return -1;
	http_work(simulation, engine_wait_ms(&simulation->engine, wait_ms));
	if (clock_ms() - shown_ms >= PROGRESS_MS && !simulation->json && isatty(STDOUT_FILENO)) {
		shown_ms = clock_ms();
		simulate_progress(simulation);
	}
	return 0;
}

static bool all_gone(const struct simulation *simulation)
{
	for (size_t i = 0; i < simulation->n; i++)
		if (simulation->players[i].stage != PLAYER_GONE)
			return false;
	return engine_done(&simulation->engine);
}

static int play(struct simulation *simulation, struct error *err)
{
	int64_t until_ms;

	simulation->began_ms = clock_ms();
	until_ms = simulation->began_ms + simulation->options->seconds * 1000;
	while (clock_ms() < until_ms && !stop_asked)
		if (step(simulation, err))
			return -1;
	simulation->ended_ms = clock_ms();
	simulation->leaving = true;
	stop_asked = 0;
	until_ms = clock_ms() + simulation->options->wait_ms;
	for (size_t i = 0; i < simulation->n; i++)
		simulation->players[i].due_ms = 0;
	while (!all_gone(simulation) && clock_ms() < until_ms && !stop_asked)
		if (step(simulation, err))
			return -1;
	if (!simulation->json && isatty(STDOUT_FILENO))
		printf("\r\033[K");
	return 0;
}

static void print(const struct simulation *simulation, const struct sim_verdict *verdict, const struct audit *audit)
{
	CLEANUP(text_release) struct text out = { 0 };
	bool colour = isatty(STDOUT_FILENO);

	if (simulation->json) {
		json_open(&out, '{');
		json_key(&out, "crowd");
		simulate_write(simulation, verdict, &out);
		json_key(&out, "audit");
		if (audit->n)
			audit_write(audit, &out);
		else
			json_null(&out);
		json_close(&out, '}');
		text_char(&out, '\n');
	} else {
		simulate_show(simulation, verdict, colour, &out);
		if (audit->n) {
			text_char(&out, '\n');
			audit_show(audit, colour, &out);
		}
	}
	printf("%s", text_str(&out));
}

static int judge(
	struct simulation *simulation, const struct sim_verdict *verdict, const struct audit *audit, struct error *err)
{
	int64_t disagreements = audit_total(audit);
	int64_t good = simulation->stats.all.n - simulation->stats.failed;

	if (simulation->stats.wrong)
		error_set(err, CODE_CONFLICT, "%lld answers were not true: %s", (long long)simulation->stats.wrong,
			simulation->stats.first_wrong);
	else if (verdict->differences)
		error_set(err, CODE_CONFLICT, "the crowd's ledger and the database differ in %lld places: %.*s",
			(long long)verdict->differences, (int)strcspn(text_str(&verdict->problems), "\n"),
			text_str(&verdict->problems));
	else if (disagreements)
		error_set(err, CODE_CONFLICT, "broker, cache and database disagree in %lld places",
			(long long)disagreements);
	else if (!good)
		error_set(err, CODE_CONFLICT, "no call was answered as it should be");
	else
		return CTL_DONE;
	return CTL_FAILED;
}

/* The crowd's ledger and the audit, once everything is quiet. */
static int conclude(struct simulation *simulation, const struct audit_sources *sources, struct error *err)
{
	const struct audit_options options = { .patience_ms = simulation->options->patience_ms, .keep = AUDIT_KEEP };
	CLEANUP(audit_release) struct audit audit = { 0 };
	struct sim_verdict verdict = { 0 };
	int status = CTL_DONE;

	if (simulate_check(simulation, sources, &verdict, err) ||
		(!simulation->options->no_audit && audit_run_all(sources, &options, &audit, err)))
		status = ctl_failed(err);
	print(simulation, &verdict, &audit);
	if (status == CTL_DONE)
		status = judge(simulation, &verdict, &audit, err);
	text_release(&verdict.problems);
	return status;
}

int simulate_run(struct invocation *in, struct error *err)
{
	struct sigaction action = { .sa_handler = ask_stop };
	CLEANUP(audit_close) struct audit_sources sources = { 0 };
	CLEANUP(simulation_release) struct simulation simulation = { .options = in->options, .json = in->json };

	curl_global_init(CURL_GLOBAL_DEFAULT);
	simulation.multi = curl_multi_init();
	if (audit_open(&sources, in, err) || http_check(simulation.options->gateway, err))
		return ctl_failed(err);
	simulation.engine.stats = &simulation.stats;
	simulation.engine.bus = broker_connect(true, err);
	if (!simulation.engine.bus)
		return ctl_failed(err);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	invite(&simulation);
	if (play(&simulation, err))
		return ctl_failed(err);
	return conclude(&simulation, &sources, err);
}
