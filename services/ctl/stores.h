/* The database and the cache as a verb uses them. */
#ifndef GARRISON_CTL_STORES_H
#define GARRISON_CTL_STORES_H

#include "kv.h"
#include "pg.h"

/* A database connection by DATABASE_URL, not connected yet, whose statements may take so long. The caller frees. */
struct pg *stores_database(int64_t statement_timeout_ms);
/*
 * Waits until the database answers, trying again until STARTUP_TIMEOUT has passed; then gives the connection limit_ms for what
 * follows. 0, or -1: unavailable, or what the server says of the user.
 */
int stores_wait_for_database(struct pg *pg, int64_t limit_ms, struct error *err);
/* 0; -1: unavailable where tables are missing, with the command that makes them, or why the database cannot be asked. */
int stores_check_tables(struct pg *pg, struct error *err);
/* Both. */
int stores_wait_for_tables(struct pg *pg, int64_t limit_ms, struct error *err);
/* A cache connection by REDIS_URL, not connected yet. The caller frees. NULL: invalid_payload for a bad URL. */
struct kv *stores_cache(struct error *err);

#endif
