#include "kv_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "percent.h"

void kv_url_release(struct kv_url *url)
{
	free(url->user);
	free(url->password);
	free(url->master);
	*url = (struct kv_url){ 0 };
}

static int refuse(struct error *err, const char *why)
{
	return error_set(err, CODE_INVALID_PAYLOAD, "not a Redis URL (redis://user:password@host:port/db): %s", why);
}

/* A copy with %XX undone; NULL when that is malformed. */
static char *decode(const char *from, size_t len)
{
	char *out = must_alloc(len + 1);

	if (percent_decode(from, len, false, out))
		return out;
	free(out);
	return NULL;
}

/* "user:password" or ":password". */
static int parse_user(const char *from, size_t len, struct kv_url *out, struct error *err)
{
	const char *colon = memchr(from, ':', len);
	if (!colon)
		return refuse(err, "the part before @ must be user:password or :password");
	size_t user_len = (size_t)(colon - from);
	if (user_len && !(out->user = decode(from, user_len)))
		return refuse(err, "the user is not valid percent-encoding");
	if (!(out->password = decode(colon + 1, len - user_len - 1)))
		return refuse(err, "the password is not valid percent-encoding");
	return 0;
}

/* "host", "host:port" or "[v6]:port". */
static int parse_host(const char *from, size_t len, const char *default_port, struct kv_url *out, struct error *err)
{
	if (out->n_hosts == KV_HOSTS_MAX)
		return refuse(err, "too many hosts");
	struct kv_host *host = &out->hosts[out->n_hosts];
	const char *end = from + len, *name = from, *name_end, *port = NULL;
	if (len && *from == '[') {
		name++;
		name_end = memchr(from, ']', len);
		if (!name_end)
			return refuse(err, "a [ without its ]");
		if (name_end + 1 < end)
			port = name_end + 1;
	} else {
		port = memchr(from, ':', len);
		name_end = port ? port : end;
	}
	if (name == name_end || (size_t)(name_end - name) >= sizeof(host->name))
		return refuse(err, "the host is missing or too long");
	snprintf(host->name, sizeof(host->name), "%.*s", (int)(name_end - name), name);
	snprintf(host->port, sizeof(host->port), "%s", default_port);
	if (port) {
		size_t digits = (size_t)(end - port) - 1;
		if (*port != ':' || digits == 0 || digits > 5 || strspn(port + 1, "0123456789") < digits)
			return refuse(err, "the port is not a number");
		snprintf(host->port, sizeof(host->port), "%.*s", (int)digits, port + 1);
		long number = strtol(host->port, NULL, 10);
		if (number < 1 || number > 65535)
			return refuse(err, "the port must be 1 to 65535");
	}
	out->n_hosts++;
	return 0;
}

static int parse_db(const char *from, struct kv_url *out, struct error *err)
{
	if (!*from)
		return 0;
	if (strlen(from) > 5 || strspn(from, "0123456789") != strlen(from))
		return refuse(err, "what follows the last / must be the database's number");
	out->db = (int)strtol(from, NULL, 10);
	return 0;
}

/* What follows "redis+sentinel://" and the user: hosts, then the master's name, then the database. */
static int parse_sentinel(const char *from, struct kv_url *out, struct error *err)
{
	const char *path = from + strcspn(from, "/");
	while (from < path) {
		size_t len = strcspn(from, ",/");
		if (parse_host(from, len, "26379", out, err))
			return -1;
		from += len + (from[len] == ',');
	}
	if (*path != '/' || out->n_hosts == 0)
		return refuse(err, "redis+sentinel:// needs host:port,host:port/<master>/<db>");
	size_t len = strcspn(path + 1, "/");
	if (len == 0)
		return refuse(err, "the master's name is missing");
	if (!(out->master = decode(path + 1, len)))
		return refuse(err, "the master's name is not valid percent-encoding");
	path += 1 + len;
	return parse_db(*path ? path + 1 : path, out, err);
}

static int parse(const char *url, struct kv_url *out, struct error *err)
{
	bool sentinel = strncmp(url, "redis+sentinel://", 17) == 0;
	if (strncmp(url, "rediss://", 9) == 0 || strncmp(url, "rediss+sentinel://", 18) == 0)
		return refuse(err,
			"rediss:// needs TLS, which this build's hiredis does not have; put a TLS proxy before it");
	if (!sentinel && strncmp(url, "redis://", 8) != 0)
		return refuse(err, "must begin with redis:// or redis+sentinel://");
	const char *rest = url + (sentinel ? 17 : 8);
	if (strpbrk(rest, "?#"))
		return refuse(err, "options after ? are not supported");
	size_t authority = strcspn(rest, "/");
	const char *at = memrchr(rest, '@', authority);
	if (at) {
		if (parse_user(rest, (size_t)(at - rest), out, err))
			return -1;
		authority -= (size_t)(at + 1 - rest);
		rest = at + 1;
	}
	if (sentinel)
		return parse_sentinel(rest, out, err);
	if (memchr(rest, ',', authority))
		return refuse(err, "several hosts need redis+sentinel://");
	if (parse_host(rest, authority, "6379", out, err))
		return -1;
	return parse_db(rest[authority] ? rest + authority + 1 : rest + authority, out, err);
}

int kv_url_parse(const char *url, struct kv_url *out, struct error *err)
{
	struct kv_url parsed = { 0 };
	if (parse(url, &parsed, err)) {
		kv_url_release(&parsed);
		return -1;
	}
	*out = parsed;
	return 0;
}
