/* What a service says of itself, from its tables. */
#ifndef GARRISON_DESCRIBE_H
#define GARRISON_DESCRIBE_H

#include "service.h"
#include "settings.h"

/* --help: summary, commands and events with their fields, every setting with default, unit and meaning. Main thread. */
void describe_help(
	const struct service *service, const struct settings_group *groups, size_t n_groups, struct text *out);
/*
 * --describe, as one JSON object:
 * {"service","summary","version","settings":[{"name","type","default","unit","accepts","choices","help","secret"}],
 * "commands":[{"name","help","request":<JSON Schema>,"result":<JSON Schema>,"lanes":["durable","rpc"],"timeout_ms",
 * "max_attempts","body_max"}],"events":[{"name","help","body":<JSON Schema>}],"timers":[{"name","help"}],
 * "metrics":[{"name","type","help"}],"queues":[…]}.
 * metrics are read from a page of /metrics. Main thread.
 */
void describe_json(const struct service *service, const struct settings_group *groups, size_t n_groups,
	const char *metrics, struct text *out);

#endif
