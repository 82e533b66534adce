/* The gateway's own settings. */
#ifndef GATEWAY_SETTINGS_H
#define GATEWAY_SETTINGS_H

#include "field.h"
#include "network.h"

struct gateway_settings {
	const char *address;
	struct list service_tokens;  /* of struct setting_word */
	struct list cors_origins;    /* of struct setting_word */
	struct list trusted_proxies; /* of struct setting_word; parsed into networks */
	int64_t access_ttl_ms;
	int64_t max_connections;
	int64_t max_connections_per_address;
	int64_t max_in_flight;
	int64_t max_body_memory;
	int64_t max_header;
	int64_t header_timeout_ms;
	int64_t body_timeout_ms;
	int64_t write_timeout_ms;
	int64_t keepalive_timeout_ms;
	/* Made of trusted_proxies by gateway_settings_check(). */
	struct network *networks;
	size_t n_networks;
};
struct setting_word {
	const char *text;
};

extern const struct schema gateway_settings_schema;
extern struct gateway_settings gateway_settings; /* read-only after start */

/* What the schema cannot see. 0/-1 naming the setting. Main thread. */
int gateway_settings_check(struct error *err);
/* Frees what the check made. Main thread, at the end. */
void gateway_settings_release(void);

#endif
