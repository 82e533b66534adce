/* get_auto_session_status: look at a player's auto-session. */
#ifndef TICK_GET_AUTO_SESSION_STATUS_H
#define TICK_GET_AUTO_SESSION_STATUS_H

#include "service.h"

extern const struct schema get_auto_session_status_request;
extern const struct schema get_auto_session_status_result;

/* Changes nothing. */
void get_auto_session_status(struct batch *batch);

#endif
