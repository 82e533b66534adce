/* The servers' URLs among the settings. */
#ifndef CTL_URLS_H
#define CTL_URLS_H

#include "error.h"

/* Names the setting that is no URL of its kind, whether or not the verb needs it: what is wrong is said at start. -1: one is. */
int urls_check(struct error *err);

#endif
