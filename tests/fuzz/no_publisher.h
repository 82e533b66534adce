/* A publisher that publishes nothing. */
#ifndef GARRISON_FUZZ_NO_PUBLISHER_H
#define GARRISON_FUZZ_NO_PUBLISHER_H

#include "publisher.h"

/* The target's: sees every message before it is confirmed and freed. */
void look_at_outgoing(const struct outgoing *out);

#endif
