/* A category's tick_rules, read anew with every batch: a change takes hold with the next. */
#ifndef TICK_RULES_H
#define TICK_RULES_H

#include "pg.h"
#include "scratch.h"
#include "services/tick/rewards.h"

/* Queues the reading of a category's rules; one result, for rules_read. The thread that owns pg. */
void rules_queue(struct pg *pg, const char *category);

/*
 * Makes rules of the rows; they live in scratch. A rule whose loot is malformed gives none, which is logged once a minute at most.
 * Any thread.
 */
void rules_read(const struct pg_rows *rows, struct scratch *scratch, struct rules *rules);

#endif
