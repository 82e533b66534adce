/* A character's live state, put back by state-backup before its player is let in. */
#ifndef GARRISON_AUTH_STATE_RESTORE_H
#define GARRISON_AUTH_STATE_RESTORE_H

#include "call.h"

/*
 * Has the character's cache restored, and waits for it up to STATE_RESTORE_TIMEOUT. True when the state is there, restored or live
 * already; false when state-backup is down, which keeps nobody out. The call's thread.
 */
bool state_restore(struct call *call, int64_t char_id);

#endif
