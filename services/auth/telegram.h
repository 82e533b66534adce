/* What a Telegram Mini App says of its user, and the proof that Telegram said it. Pure rules, no I/O. */
#ifndef GARRISON_AUTH_TELEGRAM_H
#define GARRISON_AUTH_TELEGRAM_H

#include <stdint.h>

#include "error.h"
#include "scratch.h"

/*
 * Reads init_data (https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app): 0 and the user's id when its
 * hash is bot_token's and its auth_date lies between max_age_s ago and now. -1: unauthorized; invalid_payload when it is genuine but
 * names no user. Works in scratch. Any thread.
 */
int telegram_user(const char *init_data, const char *bot_token, int64_t now_s, int64_t max_age_s,
	struct scratch *scratch, int64_t *user_id, struct error *err);

#endif
