/* What has expired is removed, a little at a time. */
#ifndef GARRISON_AUTH_SWEEP_H
#define GARRISON_AUTH_SWEEP_H

#include "call.h"

/* Removes expired refresh tokens, logins, remembered requests and retired keys. A timer's run. */
int64_t auth_sweep(struct call *call);

#endif
