#ifndef RESTORE_FULL_STATE_H
#define RESTORE_FULL_STATE_H

#include "service.h"

/* Rebuild a character's cache, and the session he was in, from the database. */
extern const struct schema restore_full_state_request, restore_full_state_result;
handle_batch_fn restore_full_state;

#endif
