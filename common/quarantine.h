/*
 * A message on its fourth delivery may be what kills its workers. It is run alone in a child process of this one, and only the
 * child's own death by a signal condemns it: a broker's count also grows by clean stops and by the crashes of neighbours.
 */
#ifndef GARRISON_QUARANTINE_H
#define GARRISON_QUARANTINE_H

#include "call.h"
#include "service.h"

/* Delivery counts from here on make a suspect (the broker counts from 0). */
#define SUSPECT_DELIVERIES 3

/* Runs the call's message in a child; sets outcome and reply as the child's handler did. Blocks up to limit_ms. A worker's thread. */
void quarantine_run(struct call *call, int64_t limit_ms);

/* The child's side, on `--one`: one message from standard input, its outcome onto standard output. Returns the exit code. */
int quarantine_child(const struct service *service);

/* The command line that the child gets besides --one: this process's NAME=value arguments. Set once at start. */
void quarantine_setup(int n_arguments, char **arguments);

#endif
