/* settle_combat: the result document of a fight becomes gold, xp and items, exactly once. */
#ifndef SETTLE_COMBAT_H
#define SETTLE_COMBAT_H

#include "common/service.h"
#include "result_document.h"

struct settle_combat_result {
	struct uuid session_id;
	const char *status;
	bool replayed;
};

extern const struct schema settle_combat_result;
handle_batch_fn settle_combat;

#define COMBAT_EVENTS 1
extern const struct service_event combat_events[COMBAT_EVENTS];

#endif
