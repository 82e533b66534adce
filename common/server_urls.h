/* The servers' URLs among the settings. */
#ifndef GARRISON_SERVER_URLS_H
#define GARRISON_SERVER_URLS_H

#include "error.h"

/* -1: invalid_payload, naming the setting (AMQP_URL, REDIS_URL or DATABASE_URL) that is no URL of its kind. Connects to nothing. Any thread. */
int server_urls_check(const char *amqp_url, const char *redis_url, const char *database_url, struct error *err);

#endif
