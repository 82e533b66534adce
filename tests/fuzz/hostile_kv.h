/*
 * In place of common/kv.c: a Redis in which other programs have written whatever the input says. An answer has the shape that its command
 * has by Redis's own word, or its script by ours; what is in it is the input's, an error or nothing among it.
 */
#ifndef GARRISON_FUZZ_HOSTILE_KV_H
#define GARRISON_FUZZ_HOSTILE_KV_H

#include "input.h"
#include "kv.h"

/* The one connection there is, answering from this source until the next call. Never freed. */
struct kv *hostile_kv(struct source *source);

#endif
