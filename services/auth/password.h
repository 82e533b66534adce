/*
 * Passwords as Argon2id, hashed by a few threads of their own: each takes 64 MiB and a core for some 70 ms, so that only
 * PASSWORD_HASH_THREADS run at once, at a lower priority than everything else. Those who wait hold a handler's thread: when too many
 * do, the next is refused, so that threads are left for commands that are quick.
 */
#ifndef GARRISON_AUTH_PASSWORD_H
#define GARRISON_AUTH_PASSWORD_H

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define PASSWORD_HASH_MAX crypto_pwhash_STRBYTES

/* Starts the threads, once; they end with the process. */
void password_start(void);

/*
 * A place among those who may wait, held from enter to leave (for CLEANUP). 0, or -1 rate_limited when all are taken. Any thread.
 */
struct password_place {
	bool held;
};
int password_enter(struct password_place *place, struct error *err);
void password_leave(struct password_place *place);

/* Hashes. 0, or -1: timeout, or unavailable when there is no memory for it. Any thread that holds a place. */
int password_hash(const char *password, int64_t deadline_ms, char hash[static PASSWORD_HASH_MAX], struct error *err);
/*
 * Compares. A NULL hash, of an account that is not there or has none, takes as long as any and is never right. Failure as above; a
 * failure says nothing of the password. Any thread that holds a place.
 */
int password_check(const char *password, const char *hash, int64_t deadline_ms, bool *right, struct error *err);
/* True for a hash made with less effort than new ones. Any thread. */
bool password_is_dated(const char *hash);

#endif
