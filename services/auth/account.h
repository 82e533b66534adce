/* Accounts, and the characters that belong to them. */
#ifndef GARRISON_AUTH_ACCOUNT_H
#define GARRISON_AUTH_ACCOUNT_H

#include "call.h"

struct account {
	int64_t id;		   /* 0: there is none */
	const char *login;	   /* NULL for one that logs in by Telegram only */
	const char *password_hash; /* NULL for one that has none */
};

/* By login, or by id; texts in scratch. 0, account->id 0 where there is none; or -1 with pg's error. The call's thread. */
int account_by_login(struct call *call, const char *login, struct account *account, struct error *err);
int account_by_id(struct call *call, int64_t id, struct account *account, struct error *err);
/* By Telegram user; made where there is none and create is set. As above. */
int account_by_telegram(struct call *call, int64_t telegram_id, bool create, int64_t *id, struct error *err);
/* Makes one. 0, or -1: conflict when the login is taken. */
int account_add(struct call *call, const char *login, const char *password_hash, int64_t *id, struct error *err);
/* Puts a hash in place of another of the same password; nothing when it was changed meanwhile. 0/-1 with pg's error. */
int account_rehash(struct call *call, int64_t id, const char *old_hash, const char *new_hash, struct error *err);

struct character {
	int64_t char_id;
	const char *name;
	const char *gender;
};
extern const struct schema character_schema;

/* All of an account's characters, oldest first, in the call's scratch. 0/-1 with pg's error. The call's thread. */
int account_characters(struct call *call, int64_t account_id, struct list *characters, struct error *err);
/*
 * The character to play: the one wanted, which must be among them (else -1 forbidden); where none is wanted, current, if it is among
 * them still; else the sole one; else 0. Any thread.
 */
int character_choose(const struct list *characters, const struct opt_int *wanted, int64_t current, int64_t *char_id,
	struct error *err);

#endif
