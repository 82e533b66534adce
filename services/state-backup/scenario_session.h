#ifndef SCENARIO_SESSION_H
#define SCENARIO_SESSION_H

#include "session_kind.h"

/* A player in a scripted scene: the scenario service's session. Static data, for any thread. */
extern const struct session_kind scenario_session;

#endif
