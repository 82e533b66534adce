#ifndef COMBAT_SESSION_H
#define COMBAT_SESSION_H

#include "session_kind.h"

/* A fight: over as soon as combat_history knows it, settled or not. Static data, for any thread. */
extern const struct session_kind combat_session;

#endif
