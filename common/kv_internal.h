/* What the kv*.c files share. Nobody else includes this, nor hiredis.h. */
#ifndef GARRISON_KV_INTERNAL_H
#define GARRISON_KV_INTERNAL_H

#include <hiredis/hiredis.h>
#include <stdarg.h>

#include "kv.h"
#include "text.h"

#define KV_HOSTS_MAX 8
#define KV_SHA_LEN 40

struct kv_host {
	char name[256];
	char port[8];
};

struct kv_url {
	struct kv_host hosts[KV_HOSTS_MAX]; /* one server, or the Sentinels */
	size_t n_hosts;
	char *user, *password, *master; /* NULL when not given; master: by Sentinel */
	int db;
};

/* kv_url.c: 0, or -1 with err invalid_payload, which never quotes the password. kv_url_release frees what it filled. */
int kv_url_parse(const char *url, struct kv_url *out, struct error *err);
void kv_url_release(struct kv_url *url);

/* A connection: a non-blocking socket of our own and hiredis's parser. */
struct kv_link {
	int fd; /* -1: none */
	redisReader *reader;
};

#define KV_LINK_NONE ((struct kv_link){ -1, NULL })

/* kv_link.c. All fail with unavailable, down, or timeout; the link is then closed. */
int kv_link_open(struct kv_link *link, const struct kv_host *host, int64_t deadline_ms, struct error *err);
void kv_link_close(struct kv_link *link);
/* True when an idle connection has been closed from the other side, or has something to say that nobody asked for. */
bool kv_link_is_dead(const struct kv_link *link);
/* Writes bytes and reads n answers, both at once. The caller owns the answers. */
int kv_link_exchange(struct kv_link *link, const struct text *bytes, redisReply **answers, size_t n,
	int64_t deadline_ms, struct error *err);
/* One command made of plain strings. NULL on failure. An error answer is an answer. */
redisReply *kv_link_command(
	struct kv_link *link, int64_t deadline_ms, struct error *err, size_t n, const char *const *arguments);

/* kv_format.c: append a command in Redis's protocol. */
void kv_format(struct text *out, const char *format, va_list ap);
void kv_format_args(struct text *out, size_t n, const char *const *arguments, const size_t *lens);
void kv_format_count(struct text *out, size_t n);
void kv_format_argument(struct text *out, const void *bytes, size_t len);

/* kv_sentinel.c: connects to the primary that the first Sentinel with an answer names. *first: which to ask first. */
int kv_sentinel_open(
	struct kv_link *link, const struct kv_url *url, size_t *first, int64_t deadline_ms, struct error *err);

DEFINE_CLEANUP(redisReply *, kv_drop_reply, freeReplyObject)

#endif
