#ifndef INVENTORY_SESSION_H
#define INVENTORY_SESSION_H

#include "session_kind.h"

/* A player sorting what he carries: the inventory service's session. Static data, for any thread. */
extern const struct session_kind inventory_session;

#endif
