/* delete_auto_session: end a player's auto-session. */
#ifndef TICK_DELETE_AUTO_SESSION_H
#define TICK_DELETE_AUTO_SESSION_H

#include "service.h"

extern const struct schema delete_auto_session_request;
extern const struct schema delete_auto_session_result;

/* Safe to repeat: the second time there is nothing to end, and a message id that has ended one ends no later one. */
void delete_auto_session(struct batch *batch);

#endif
