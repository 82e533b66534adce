#include "gateway_settings.h"

#include <stdlib.h>
#include <string.h>

#include "listen_address.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)
#define DAY_MS INT64_C(86400000)

static const struct field token_fields[] = {
	FIELD(struct setting_word, text, .as = "", .min = 1, .max = 512, .secret = true),
};
static const struct schema token_schema = SCHEMA(struct setting_word, token_fields, .name = "service token");

static const struct field word_fields[] = {
	FIELD(struct setting_word, text, .as = "", .min = 1, .max = 512),
};
static const struct schema word_schema = SCHEMA(struct setting_word, word_fields, .name = "word");

static const struct field fields[] = {
	FIELD(struct gateway_settings, address, .as = "GATEWAY_ADDR", .preset = "127.0.0.1:8080",
		.help = "host:port to listen on"),
	FIELD(struct gateway_settings, service_tokens, .as = "SERVICE_TOKEN", .secret = true, .of = &token_schema,
		.max = 32,
		.help = "tokens of callers that may act for any character; several, comma-separated; unset: none"),
	FIELD(struct gateway_settings, cors_origins, .as = "CORS_ORIGINS", .of = &word_schema, .max = 64,
		.help = "origins whose pages may call (https://game.example), comma-separated, or *; unset: none"),
	FIELD(struct gateway_settings, trusted_proxies, .as = "TRUSTED_PROXIES", .of = &word_schema, .max = 64,
		.help = "addresses or networks (10.0.0.0/8) whose X-Forwarded-For is believed; unset: none"),
	FIELD(struct gateway_settings, access_ttl_ms, .as = "ACCESS_TTL", .unit = UNIT_MS, .min = 1000,
		.max = 30 * DAY_MS, .preset = "15m", .help = "the longest life of an access token; the same as auth's"),
	FIELD(struct gateway_settings, max_connections, .as = "GATEWAY_MAX_CONNECTIONS", .min = 1, .max = 100000,
		.preset = "1024", .help = "open connections in all"),
	FIELD(struct gateway_settings, max_connections_per_address, .as = "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS",
		.min = 1, .max = 100000, .preset = "256",
		.help = "open connections from one address that is no trusted proxy"),
	FIELD(struct gateway_settings, max_in_flight, .as = "GATEWAY_MAX_IN_FLIGHT", .min = 1, .max = 16384,
		.preset = "512", .help = "requests that wait for an answer; more are answered 503 at once"),
	FIELD(struct gateway_settings, max_body_memory, .as = "GATEWAY_MAX_BODY_MEMORY", .min = 1, .max = INT_LIMIT,
		.preset = "67108864", .help = "bytes of request bodies held at one time; more are answered 503"),
	FIELD(struct gateway_settings, max_header, .as = "GATEWAY_MAX_HEADER", .min = 4096, .max = 1 << 20,
		.preset = "16384",
		.help = "bytes of a request's first line and headers; a connection takes twice as much memory"),
	FIELD(struct gateway_settings, header_timeout_ms, .as = "GATEWAY_HEADER_TIMEOUT", .unit = UNIT_MS, .min = 100,
		.max = HOUR_MS, .preset = "10s",
		.help = "from the connection to the end of the first request's headers"),
	FIELD(struct gateway_settings, body_timeout_ms, .as = "GATEWAY_BODY_TIMEOUT", .unit = UNIT_MS, .min = 100,
		.max = HOUR_MS, .preset = "30s", .help = "from the end of the headers to the end of the body"),
	FIELD(struct gateway_settings, write_timeout_ms, .as = "GATEWAY_WRITE_TIMEOUT", .unit = UNIT_MS, .min = 100,
		.max = HOUR_MS, .preset = "30s", .help = "for the caller to take the answer"),
	FIELD(struct gateway_settings, keepalive_timeout_ms, .as = "GATEWAY_KEEPALIVE_TIMEOUT", .unit = UNIT_MS,
		.min = 100, .max = HOUR_MS, .preset = "75s",
		.help = "from an answer to the end of the next request's headers"),
};
const struct schema gateway_settings_schema = SCHEMA(struct gateway_settings, fields, .name = "gateway settings");
struct gateway_settings gateway_settings;

static int check_tokens(struct error *err)
{
	const struct setting_word *tokens = gateway_settings.service_tokens.items;

	for (size_t i = 0; i < gateway_settings.service_tokens.n; i++)
		for (const char *c = tokens[i].text; *c; c++)
			if (*c <= ' ' || *c > '~')
				return error_set(err, CODE_INVALID_PAYLOAD,
					"SERVICE_TOKEN: token %zu has a character that no header can carry", i + 1);
	return 0;
}

static int check_origins(struct error *err)
{
	const struct setting_word *origins = gateway_settings.cors_origins.items;

	for (size_t i = 0; i < gateway_settings.cors_origins.n; i++) {
		const char *origin = origins[i].text, *host = strstr(origin, "://");

		if (strcmp(origin, "*") == 0)
			continue;
		if (!host || host == origin || !host[3] || strpbrk(host + 3, "/?#@ "))
			return error_set(err, CODE_INVALID_PAYLOAD,
				"CORS_ORIGINS: \"%s\" is no origin, which is scheme://host or scheme://host:port",
				origin);
	}
	return 0;
}

static int check_address(struct error *err)
{
	struct addrinfo *at;
	struct error why;

	if (listen_address(gateway_settings.address, &at, &why))
		return error_set(err, CODE_INVALID_PAYLOAD, "GATEWAY_ADDR: %s", why.text);
	freeaddrinfo(at);
	return 0;
}

int gateway_settings_check(struct error *err)
{
	const struct setting_word *words = gateway_settings.trusted_proxies.items;
	size_t n = gateway_settings.trusted_proxies.n;

	if (check_address(err) || check_tokens(err) || check_origins(err))
		return -1;
	gateway_settings.networks = must_zalloc((n + 1) * sizeof(*gateway_settings.networks));
	for (size_t i = 0; i < n; i++)
		if (network_parse(words[i].text, &gateway_settings.networks[i]))
			return error_set(err, CODE_INVALID_PAYLOAD,
				"TRUSTED_PROXIES: \"%s\" is no address and no network like 10.0.0.0/8", words[i].text);
	gateway_settings.n_networks = n;
	return 0;
}

void gateway_settings_release(void)
{
	free(TAKE(gateway_settings.networks));
}
