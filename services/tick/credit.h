/*
 * Crediting a batch of due ticks of one category, in one transaction: the session moves to its next due time, the character gets xp,
 * gold and energy, items go into the inventory, and the event is written where events are on.
 */
#ifndef TICK_CREDIT_H
#define TICK_CREDIT_H

#include "call.h"
#include "services/tick/queue.h"

/*
 * Credits what is due of dues, which it sorts. Safe to repeat, and to run twice at once: a session moves only from the due time, start
 * and category that the entry names, and its move carries everything else with it; entries that do not fit any longer are dropped.
 * Fails as pg_sync and kv_sync do; then nothing was credited, or the commit's answer was lost. The call's thread.
 */
int credit_ticks(struct call *call, int category, struct due *dues, size_t n, struct error *err);

#endif
