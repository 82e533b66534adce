/*
 * From Redis into session_snapshots, for every kind alike. Each character in a session has a copy of his own, which is written under
 * the lock on his row.
 */
#ifndef SESSION_SAVE_H
#define SESSION_SAVE_H

#include "kv.h"
#include "pg.h"
#include "scratch.h"
#include "session.h"

/*
 * Reads those that are not over from Redis and writes their copies; .there is false for one whose key is gone, and then its copy,
 * if there is one, stays. Within the transaction that locked the characters. 0, or -1 with the error of either store.
 */
int sessions_save(
	struct pg *pg, struct kv *kv, struct session *sessions, size_t n, struct scratch *scratch, struct error *err);

#endif
