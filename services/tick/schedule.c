#include "services/tick/schedule.h"

int64_t schedule_after(const struct schedule *schedule, int64_t t_us)
{
	int64_t since = t_us - schedule->started_us;
	int64_t k = since / schedule->interval_us;

	if (since % schedule->interval_us < 0) /* division rounds towards 0, the grid wants the floor */
		k--;
	return schedule->started_us + (k + 1) * schedule->interval_us;
}

int64_t schedule_due(const struct schedule *schedule, int64_t i)
{
	if (i == 0)
		return schedule->due_us;
	return schedule_after(schedule, schedule->due_us) + (i - 1) * schedule->interval_us;
}

bool schedule_advance(const struct schedule *schedule, int64_t now_us, struct advance *out)
{
	int64_t end_us = schedule->max_us > 0 ? schedule->started_us + schedule->max_us : INT64_MAX;
	int64_t until_us = now_us < end_us ? now_us : end_us;
	int64_t second_us = schedule_after(schedule, schedule->due_us);

	if (schedule->due_us > now_us)
		return false;
	out->passed = 0;
	if (schedule->due_us <= until_us)
		out->passed = 1;
	if (second_us <= until_us)
		out->passed += (until_us - second_us) / schedule->interval_us + 1;
	out->last_us = out->passed > 0 ? schedule_due(schedule, out->passed - 1) : 0;
	out->next_us = schedule_after(schedule, now_us);
	out->ended = now_us >= end_us;
	return true;
}
