#include "kv_internal.h"
#include "clock.h"

#include <stdio.h>
#include <string.h>

/* The least time a Sentinel is given before the next is asked. */
#define SENTINEL_SLICE_MIN_MS 100

static redisReply *ask(struct kv_link *sentinel, const struct kv_url *url, int64_t deadline_ms, struct error *err)
{
	const char *arguments[] = { "SENTINEL", "get-master-addr-by-name", url->master };
	return kv_link_command(sentinel, deadline_ms, err, ARRAY_LEN(arguments), arguments);
}

/* Some guard their Sentinels by the password of the servers. */
static int authenticate(struct kv_link *sentinel, const struct kv_url *url, int64_t deadline_ms, struct error *err)
{
	const char *arguments[] = { "AUTH", url->password };
	CLEANUP(kv_drop_reply)
	redisReply *answer = kv_link_command(sentinel, deadline_ms, err, ARRAY_LEN(arguments), arguments);
	return answer ? 0 : -1;
}

/* Where one Sentinel says that the primary is. */
static int locate(const struct kv_host *host, const struct kv_url *url, int64_t deadline_ms, struct kv_host *primary,
	struct error *err)
{
	CLEANUP(kv_link_close) struct kv_link sentinel = KV_LINK_NONE;
	if (kv_link_open(&sentinel, host, deadline_ms, err))
		return -1;
	CLEANUP(kv_drop_reply) redisReply *answer = ask(&sentinel, url, deadline_ms, err);
	if (answer && answer->type == REDIS_REPLY_ERROR && strncmp(answer->str, "NOAUTH", 6) == 0 && url->password) {
		freeReplyObject(TAKE(answer));
		if (authenticate(&sentinel, url, deadline_ms, err))
			return -1;
		answer = ask(&sentinel, url, deadline_ms, err);
	}
	if (!answer)
		return -1;
	if (answer->type == REDIS_REPLY_ERROR)
		return error_down(err, STORE_REDIS, "Sentinel %s: %s", host->name, answer->str);
	if (answer->type != REDIS_REPLY_ARRAY || answer->elements != 2 ||
		answer->element[0]->type != REDIS_REPLY_STRING || answer->element[1]->type != REDIS_REPLY_STRING)
		return error_down(err, STORE_REDIS, "Sentinel %s knows no master %s", host->name, url->master);
	snprintf(primary->name, sizeof(primary->name), "%s", answer->element[0]->str);
	snprintf(primary->port, sizeof(primary->port), "%s", answer->element[1]->str);
	return 0;
}

int kv_sentinel_open(
	struct kv_link *link, const struct kv_url *url, size_t *first, int64_t deadline_ms, struct error *err)
{
	for (size_t i = 0; i < url->n_hosts; i++) {
		size_t at = (*first + i) % url->n_hosts;
		struct kv_host primary;
		/* One that is silent may not use up the time of the others, nor that of the primary itself. */
		int left = clock_left_ms(deadline_ms), slice = left / (int)(url->n_hosts - i + 1);
		if (slice < SENTINEL_SLICE_MIN_MS)
			slice = left < SENTINEL_SLICE_MIN_MS ? left : SENTINEL_SLICE_MIN_MS;
		if (locate(&url->hosts[at], url, clock_ms() + slice, &primary, err))
			continue;
		/* A Sentinel behind the times may name a server that is dead: another may know better. */
		if (kv_link_open(link, &primary, clock_ms() + slice, err))
			continue;
		*first = at;
		return 0;
	}
	if (err)
		err->down = STORE_REDIS;
	if (err)
		err->code = CODE_UNAVAILABLE;
	return -1;
}
