/* The timer that keeps the token guard looking. */
#ifndef GATEWAY_GUARD_TIMER_H
#define GATEWAY_GUARD_TIMER_H

#include "call.h"

/* The first look, before the gateway is ready. Main thread. */
int guard_timer_start(struct call *call, struct error *err);
/* The timer's run. */
int64_t guard_timer_run(struct call *call);

#endif
