/* Redis URLs: pure, no server. */
#include "check.h"
#include "kv_internal.h"

#include <stdio.h>
#include <string.h>

static void good_urls(void)
{
	static const struct {
		const char *url, *host, *port, *user, *password, *master;
		size_t n_hosts;
		int db;
	} cases[] = {
		{ "redis://127.0.0.1:6379/0", "127.0.0.1", "6379", NULL, NULL, NULL, 1, 0 },
		{ "redis://cache", "cache", "6379", NULL, NULL, NULL, 1, 0 },
		{ "redis://cache/", "cache", "6379", NULL, NULL, NULL, 1, 0 },
		{ "redis://[::1]:7000/15", "::1", "7000", NULL, NULL, NULL, 1, 15 },
		{ "redis://[::1]", "::1", "6379", NULL, NULL, NULL, 1, 0 },
		{ "redis://:p%40ss%2F@h:1", "h", "1", NULL, "p@ss/", NULL, 1, 0 },
		{ "redis://me:p@ss@h:65535/2", "h", "65535", "me", "p@ss", NULL, 1, 2 },
		{ "redis+sentinel://a:1,b,[::2]:3/mymaster", "a", "1", NULL, NULL, "mymaster", 3, 0 },
		{ "redis+sentinel://u:p@a/my%20master/4", "a", "26379", "u", "p", "my master", 1, 4 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(kv_url_release) struct kv_url url = { 0 };
		struct error err = { 0 };
		bool good = CHECK_INT(kv_url_parse(cases[i].url, &url, &err), 0) &&
			    CHECK_STR(url.hosts[0].name, cases[i].host) &&
			    CHECK_STR(url.hosts[0].port, cases[i].port) && CHECK_STR(url.user, cases[i].user) &&
			    CHECK_STR(url.password, cases[i].password) && CHECK_STR(url.master, cases[i].master) &&
			    CHECK_INT((int64_t)url.n_hosts, (int64_t)cases[i].n_hosts) &&
			    CHECK_INT(url.db, cases[i].db);
		if (!good)
			fprintf(stderr, "\tin %s: %s\n", cases[i].url, err.text);
	}
}

static void bad_urls(void)
{
	static const struct {
		const char *url, *why;
	} cases[] = {
		{ "", "must begin with redis://" },
		{ "127.0.0.1:6379", "must begin with redis://" },
		{ "rediss://h", "TLS" },
		{ "redis://", "host is missing" },
		{ "redis://h:", "port" },
		{ "redis://h:0", "1 to 65535" },
		{ "redis://h:65536", "1 to 65535" },
		{ "redis://h:6x", "port" },
		{ "redis://[::1", "without its ]" },
		{ "redis://[::1]6", "port" },
		{ "redis://h/x", "database" },
		{ "redis://h/-1", "database" },
		{ "redis://h/0/1", "database" },
		{ "redis://h/0?timeout=1", "not supported" },
		{ "redis://hunter2@h", "user:password" },
		{ "redis://:hunter2%4@h", "percent" },
		{ "redis://:hunter2%@h", "percent" },
		{ "redis://:hunter2%00@h", "percent" },
		{ "redis://a,b", "redis+sentinel" },
		{ "redis+sentinel://a:1", "<master>" },
		{ "redis+sentinel://a:1/", "master's name" },
		{ "redis+sentinel:///m", "host:port" },
		{ "redis+sentinel://a,,b/m", "host is missing" },
		{ "redis+sentinel://a/m/x", "database" },
		{ "redis+sentinel://1,2,3,4,5,6,7,8,9/m", "too many" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct kv_url url;
		struct error err = { 0 };
		if (!CHECK_INT(kv_url_parse(cases[i].url, &url, &err), -1) ||
			!CHECK_INT(err.code, CODE_INVALID_PAYLOAD) || !CHECK_HAS(err.text, cases[i].why) ||
			!CHECK(!strstr(err.text, "hunter2")))
			fprintf(stderr, "\tin %s\n", cases[i].url);
		CHECK(!kv_new(cases[i].url, NULL, &err));
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(good_urls),
	CHECK_TEST(bad_urls),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
