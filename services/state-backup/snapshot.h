/*
 * What ac:{id} holds, between Redis's text and the database's columns. No I/O here.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload.h"
#include "scratch.h"
#include "session_kind.h"
#include "text.h"
#include "uuid.h"

/* The hash's fields, before those of the session kinds. */
enum cache_field { CACHE_STATE, CACHE_LOCATION, CACHE_BIO, CACHE_STATS, CACHE_VITALS, CACHE_LAST_COMBAT, CACHE_FIELDS };
extern const char *const cache_field_names[CACHE_FIELDS];

/* Strings that become columns are no longer than this, in bytes. */
#define CACHE_STRING_MAX 4096

/* As read: absent fields have at == NULL. The bytes are NUL-terminated besides. */
struct cache {
	struct bytes fields[CACHE_FIELDS];
	struct bytes sessions[SESSION_KINDS_MAX];
};

/* True when nothing of it is there. Any thread. */
bool cache_is_empty(const struct cache *cache);
/* True when the character is in play: a hash without state or bio is only the beginning of one. Any thread. */
bool cache_is_live(const struct cache *cache);

/* True for text that is neither empty nor too long; the value is there. Any thread. */
bool cache_is_text(const struct bytes *value);

/* The same as columns; what is NULL, nil or not had is left alone in the database. */
struct snapshot {
	int64_t char_id;
	bool live;
	const char *state;
	bool has_current, has_prev;
	const char *current, *prev; /* NULL is a value here: nowhere */
	const char *name, *gender;
	int64_t created_at_us;	    /* 0: none */
	struct bytes stats, vitals; /* JSON */
	struct uuid last_combat;
	struct uuid sessions[SESSION_KINDS_MAX];
};

/*
 * Reads the cache. Strings live in keep or are the cache's own; work is for the meantime. NULL, or what makes the cache unreadable,
 * naming the field (text in keep); then *out is not to be used. Any thread.
 */
const char *snapshot_read(
	int64_t char_id, const struct cache *cache, struct scratch *keep, struct scratch *work, struct snapshot *out);

/* Write the fields location and bio as the cache has them. Any thread. */
void snapshot_write_location(struct text *out, const char *current, const char *prev);
void snapshot_write_bio(struct text *out, const char *name, const char *gender, int64_t created_at_us);

#endif
