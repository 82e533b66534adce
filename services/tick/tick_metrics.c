#include "services/tick/tick_metrics.h"

struct metric tick_metrics[TICK_METRIC_COUNT] = {
	[METRIC_TICKS] = { .name = "tick_credited_total", .help = "Due times credited." },
	[METRIC_SESSIONS_ADVANCED] = { .name = "tick_advanced_total",
		.help = "Sessions moved to their next due time; one move may credit several due times." },
	[METRIC_STALE] = { .name = "tick_stale_total",
		.help = "Queued ticks dropped because their session was deleted, replaced or advanced by another "
			"worker." },
	[METRIC_LOST_FOUND] = { .name = "tick_lost_found_total",
		.help = "Due sessions queued again because their tick was lost on the way." },
	[METRIC_UNREADABLE] = { .name = "tick_unreadable_total",
		.help = "Queue entries dropped because they cannot be read." },
	[METRIC_QUEUED] = { .name = "tick_queued", .help = "Due ticks waiting in Redis.", .kind = METRIC_GAUGE },
	[METRIC_LAG] = { .name = "tick_lag_seconds",
		.help = "Age of the oldest tick of the last batch when it was taken up.",
		.kind = METRIC_GAUGE,
		.scale = 0.001 },
};
