#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"
#include "simulate.h"

#define RED "31"
#define GREEN "32"
#define BOLD "1"

static double seconds_of(const struct simulation *simulation)
{
	int64_t end_ms = simulation->ended_ms ? simulation->ended_ms : clock_ms();

	return (double)(end_ms - simulation->began_ms) / 1000;
}

static size_t count_stage(const struct simulation *simulation, enum player_stage stage)
{
	size_t n = 0;

	for (size_t i = 0; i < simulation->n; i++)
		n += simulation->players[i].stage == stage;
	return n;
}

static int terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void simulate_progress(const struct simulation *simulation)
{
	const struct sim_stats *stats = &simulation->stats;
	size_t waiting = 0, fighting = 0;
	char line[256];

	for (size_t i = 0; i < simulation->n; i++) {
		waiting += simulation->players[i].is_queued;
		fighting += simulation->players[i].fight != NULL;
	}
	snprintf(line, sizeof(line),
		"%3.0f s  %zu playing, %zu queued, %zu fighting  %lld fights told  %lld calls, p50 %.1f p99 %.1f ms  "
		"%lld errors",
		seconds_of(simulation), count_stage(simulation, PLAYER_PLAYING), waiting, fighting,
		(long long)simulation->engine.n_confirmed, (long long)stats->all.n,
		(double)histogram_at(&stats->all, 500) / 1000, (double)histogram_at(&stats->all, 990) / 1000,
		(long long)stats->failed);
	/* One that wraps could not be drawn over. */
	printf("\r%.*s\033[K", terminal_width() - 1, line);
	fflush(stdout);
}

/* ---- lines ---- */

static void show_row(const char *name, const struct histogram *histogram, double seconds, struct text *out)
{
	if (!histogram->n)
		return;
	text_printf(out, "%-18s%9lld%9.1f%10.1f%10.1f%10.1f%10.1f\n", name, (long long)histogram->n,
		(double)histogram->n / seconds, (double)histogram_at(histogram, 500) / 1000,
		(double)histogram_at(histogram, 950) / 1000, (double)histogram_at(histogram, 990) / 1000,
		(double)histogram->max_us / 1000);
}

static void show_verdict(bool good, bool colour, struct text *out)
{
	if (colour)
		text_printf(out, "\033[%sm%s\033[0m", good ? GREEN : RED, good ? "ok" : "wrong");
	else
		text_str_add(out, good ? "ok" : "wrong");
}

static void show_ledger(
	const struct simulation *simulation, const struct sim_verdict *verdict, bool colour, struct text *out)
{
	const struct engine *engine = &simulation->engine;

	text_printf(out, "\nfights      %zu begun, %lld told the broker (%lld of them twice), %lld settled as told  ",
		engine->n, (long long)engine->n_confirmed, (long long)engine->n_twice, (long long)verdict->processed);
	show_verdict(verdict->differences == 0 && engine_done(engine), colour, out);
	text_printf(out, "\nanswers     %lld, %lld of them not true  ", (long long)simulation->stats.all.n,
		(long long)simulation->stats.wrong);
	show_verdict(simulation->stats.wrong == 0, colour, out);
	text_char(out, '\n');
	if (simulation->stats.wrong)
		text_printf(out, "    %s\n", simulation->stats.first_wrong);
	if (verdict->problems.len)
		text_printf(out, "    %s", text_str(&verdict->problems));
	for (size_t i = 0; i < simulation->stats.n_errors; i++) {
		const struct sim_error *error = &simulation->stats.errors[i];

		text_printf(out, "error       %s: %s, %lld times\n", error->call, error->code, (long long)error->n);
	}
}

void simulate_show(
	const struct simulation *simulation, const struct sim_verdict *verdict, bool colour, struct text *out)
{
	const struct sim_stats *stats = &simulation->stats;
	double seconds = seconds_of(simulation);
	char head[96];

	text_printf(out, "%zu players for %.0f s, seed %lld\n\n", simulation->n, seconds,
		(long long)simulation->options->seed);
	snprintf(head, sizeof(head), "%-18s%9s%9s%10s%10s%10s%10s", "CALL", "N", "N/S", "P50 MS", "P95 MS", "P99 MS",
		"MAX MS");
	text_printf(out, colour ? "\033[" BOLD "m%s\033[0m\n" : "%s\n", head);
	for (size_t i = 0; i < SIM_CALLS; i++)
		show_row(sim_routes[i].name, &stats->calls[i], seconds, out);
	show_row("all calls", &stats->all, seconds, out);
	show_row("fight confirmed", &stats->confirm, seconds, out);
	show_row("fight seen settled", &stats->settle, seconds, out);
	show_ledger(simulation, verdict, colour, out);
}

/* ---- JSON ---- */

static void write_row(const char *name, const struct histogram *histogram, double seconds, struct text *out)
{
	static const struct {
		const char *name;
		int per_mille;
	} at[] = { { "p50_ms", 500 }, { "p95_ms", 950 }, { "p99_ms", 990 } };

	json_open(out, '{');
	json_key_string(out, "call", name);
	json_key_int(out, "n", histogram->n);
	json_key(out, "per_s");
	json_number(out, seconds > 0 ? (double)histogram->n / seconds : 0);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		json_key(out, at[i].name);
		json_number(out, (double)histogram_at(histogram, at[i].per_mille) / 1000);
	}
	json_key(out, "max_ms");
	json_number(out, (double)histogram->max_us / 1000);
	json_close(out, '}');
}

static void write_problems(const char *problems, struct text *out)
{
	json_open(out, '[');
	while (*problems) {
		size_t len = strcspn(problems, "\n");

		json_bytes(out, problems, len);
		problems += len + (problems[len] == '\n');
	}
	json_close(out, ']');
}

static void write_figures(const struct simulation *simulation, const struct sim_verdict *verdict, struct text *out)
{
	const struct engine *engine = &simulation->engine;

	json_key_int(out, "fights", (int64_t)engine->n);
	json_key_int(out, "confirmed", engine->n_confirmed);
	json_key_int(out, "told_twice", engine->n_twice);
	json_key_int(out, "settled", verdict->processed);
	json_key_int(out, "reconnects", engine->n_reconnects);
	json_key_int(out, "differences", verdict->differences);
	json_key(out, "problems");
	write_problems(text_str(&verdict->problems), out);
	json_key_int(out, "untrue_answers", simulation->stats.wrong);
	if (simulation->stats.wrong)
		json_key_string(out, "first_untrue", simulation->stats.first_wrong);
}

void simulate_write(const struct simulation *simulation, const struct sim_verdict *verdict, struct text *out)
{
	const struct sim_stats *stats = &simulation->stats;
	double seconds = seconds_of(simulation);

	json_open(out, '{');
	json_key_int(out, "players", (int64_t)simulation->n);
	json_key(out, "seconds");
	json_number(out, seconds);
	json_key_int(out, "seed", simulation->options->seed);
	json_key(out, "calls");
	json_open(out, '[');
	for (size_t i = 0; i < SIM_CALLS; i++)
		if (stats->calls[i].n)
			write_row(sim_routes[i].name, &stats->calls[i], seconds, out);
	write_row("all", &stats->all, seconds, out);
	write_row("fight confirmed", &stats->confirm, seconds, out);
	write_row("fight seen settled", &stats->settle, seconds, out);
	json_close(out, ']');
	json_key(out, "errors");
	json_open(out, '[');
	for (size_t i = 0; i < stats->n_errors; i++) {
		json_open(out, '{');
		json_key_string(out, "call", stats->errors[i].call);
		json_key_string(out, "code", stats->errors[i].code);
		json_key_int(out, "n", stats->errors[i].n);
		json_close(out, '}');
	}
	json_close(out, ']');
	write_figures(simulation, verdict, out);
	json_close(out, '}');
}
