/* start_auto_session: begin an auto-session, unless one is active. */
#ifndef TICK_START_AUTO_SESSION_H
#define TICK_START_AUTO_SESSION_H

#include "service.h"

extern const struct schema start_auto_session_request;
extern const struct schema start_auto_session_result;

/* Safe to repeat: a session that is active is left as it is, and a message id that has begun one begins no other. */
void start_auto_session(struct batch *batch);

#endif
