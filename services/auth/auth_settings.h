/* The settings of auth. */
#ifndef GARRISON_AUTH_SETTINGS_H
#define GARRISON_AUTH_SETTINGS_H

#include <stdint.h>

#include "call.h"
#include "field.h"

/* Read-only after start. */
struct auth_settings {
	int64_t access_ttl_ms;
	int64_t refresh_ttl_ms;
	int64_t refresh_grace_ms;
	const char *telegram_bot_token; /* NULL: that login is off */
	int64_t telegram_auth_max_age_ms;
	const char *jwt_private_key; /* NULL: the stored keys sign */
	int64_t login_failures_max;
	int64_t address_failures_max;
	int64_t failures_window_ms;
	int64_t hash_threads;
	int64_t restore_timeout_ms;
};
extern struct auth_settings auth_settings;
extern const struct schema auth_settings_schema;

/* Refuses what the schema cannot see: an empty bot token, a private key that is none. 0/-1. Main thread, before any other. */
int auth_prepare(struct error *err);
/* Starts the hashing threads and sees to it that there is a signing key. 0/-1 with pg's error. Main thread, before commands come. */
int auth_start(struct call *call, struct error *err);

#endif
