#ifndef DRAIN_H
#define DRAIN_H

#include "service.h"

/*
 * The timer that backs up what is marked in dirty_accounts: every BACKUP_INTERVAL, in batches, until none is left; and in between
 * looks after marks of dead workers and those set aside. One batch a run.
 */
int64_t drain_run(struct call *call);

/* One reads Redis while the other writes to PostgreSQL; they share BACKUP_BATCH_SIZE, and so the memory that a batch takes. */
#define DRAIN_THREADS 2

/* Longest run; shorter than the lease on the marks. */
#define DRAIN_TIMEOUT_MS 5000

#endif
