#include <stdarg.h>
#include <string.h>

#include "simulate.h"

uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U; /* SplitMix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

int64_t chance_between(uint64_t *state, int64_t low, int64_t high)
{
	return low + (int64_t)(chance(state) % (uint64_t)(high - low + 1));
}

bool chance_of(uint64_t *state, int percent)
{
	return chance_between(state, 1, 100) <= percent;
}

/* Sixteen slots for each doubling. */
static size_t slot_of(int64_t us)
{
	uint64_t v = us < 1 ? 1 : (uint64_t)us;
	size_t power = 63 - (size_t)__builtin_clzll(v);

	return power < 4 ? (size_t)v : (power - 3) * 16 + ((v >> (power - 4)) & 15);
}

static int64_t end_of(size_t slot)
{
	size_t power = slot / 16 + 3;

	return slot < 16 ? (int64_t)slot : (int64_t)((16 + slot % 16 + 1) << (power - 4)) - 1;
}

void histogram_add(struct histogram *histogram, int64_t us)
{
	size_t slot = slot_of(us);

	histogram->slots[slot < HISTOGRAM_SLOTS ? slot : HISTOGRAM_SLOTS - 1]++;
	histogram->n++;
	if (us > histogram->max_us)
		histogram->max_us = us;
}

int64_t histogram_at(const struct histogram *histogram, int per_mille)
{
	int64_t want = (histogram->n * per_mille + 999) / 1000, seen = 0;

	for (size_t slot = 0; slot < HISTOGRAM_SLOTS && histogram->n; slot++) {
		seen += histogram->slots[slot];
		if (seen >= want)
			return end_of(slot) < histogram->max_us ? end_of(slot) : histogram->max_us;
	}
	return 0;
}

void stats_error(struct sim_stats *stats, const char *call, const char *code)
{
	stats->failed++;
	for (size_t i = 0; i < stats->n_errors; i++) {
		if (stats->errors[i].call == call && strcmp(stats->errors[i].code, code) == 0) {
			stats->errors[i].n++;
			return;
		}
	}
	if (stats->n_errors == SIM_ERRORS_MAX)
		return;
	struct sim_error *error = &stats->errors[stats->n_errors++];

	*error = (struct sim_error){ .call = call, .n = 1 };
	snprintf(error->code, sizeof(error->code), "%s", code);
}

void stats_wrong(struct sim_stats *stats, const char *format, ...)
{
	va_list args;

	if (stats->wrong++)
		return;
	va_start(args, format);
	vsnprintf(stats->first_wrong, sizeof(stats->first_wrong), format, args);
	va_end(args);
}
