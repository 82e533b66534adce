/* From session_snapshots back into Redis, for every kind alike. Of the copies of one session the one read last is restored. */
#ifndef SESSION_RESTORE_H
#define SESSION_RESTORE_H

#include "kv.h"
#include "pg.h"
#include "scratch.h"
#include "session.h"

/* The sessions that the characters were last saved in, in scratch, ordered by character. 0/-1 as pg_sync. */
int sessions_of(struct pg *pg, const int64_t *char_ids, size_t n_chars, struct scratch *scratch,
	struct session **sessions, size_t *n, struct error *err);

/* Proof that Redis was not emptied, nor its holder asleep, since it was taken. */
struct ticket {
	char key[64]; /* random: who holds it needs no other secret */
};
#define TICKET_MS 2000

/* Queue the taking of a new ticket. */
void ticket_queue(struct kv *kv, struct ticket *ticket);

/*
 * Brings those that are not over back with what is left of their lifetime, unless they are live; .there says which are live now.
 * Within the transaction that locked the characters. 0; -1 with the error of either store; conflict when the ticket is gone.
 */
int sessions_restore(struct pg *pg, struct kv *kv, const struct ticket *ticket, struct session *sessions, size_t n,
	struct error *err);

#endif
