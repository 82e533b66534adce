/* The Redis keys of fights and characters that this service touches, as formats for kv_queue(). */
#ifndef COMBAT_KEYS_H
#define COMBAT_KEYS_H

#define KEY_TOMBSTONE "combat:result_cache:" /* + session: the short result */
#define KEY_SESSION "combat:session:"	     /* + session: the live fight, owned by its engine */
#define KEY_OLD_SESSION "cs:"		     /* + session: the same in older drafts */
#define KEY_UNKNOWN "combat:unknown:"	     /* + session: the database does not know it either */
#define KEY_CHARACTER "ac:"		     /* + character: the live context */
#define KEY_DIRTY "dirty_accounts"

#define KEY_TEXT_MAX 64

#endif
