#ifndef BACKUP_FULL_STATE_H
#define BACKUP_FULL_STATE_H

#include "service.h"

/* Save a character's cache, and the sessions he is in, to the database. */
extern const struct schema backup_full_state_request, backup_full_state_result;
handle_batch_fn backup_full_state;

#endif
