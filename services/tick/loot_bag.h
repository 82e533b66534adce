/* The items that a batch of ticks gives, on their way into the inventory. */
#ifndef TICK_LOOT_BAG_H
#define TICK_LOOT_BAG_H

#include "pg.h"
#include "services/tick/tick_batch.h"

/*
 * Queues the giving of what the credited ticks have drawn: stackable items go onto the character's unequipped stack, others become one
 * row each; an item without a template is stackable. The transaction must hold the characters' rows. One result, which nobody wants;
 * false, and nothing queued, when no tick gives an item. The thread that owns pg.
 */
bool loot_bag_queue(struct pg *pg, const struct tick_batch *batch);

#endif
