#include "server_urls.h"

#include "bus.h"
#include "kv.h"
#include "pg.h"

int server_urls_check(const char *amqp_url, const char *redis_url, const char *database_url, struct error *err)
{
	struct error why;
	struct bus *bus CLEANUP(bus_drop) = bus_new(amqp_url, "", &why);
	struct kv *kv CLEANUP(kv_drop) = kv_new(redis_url, "", &why);

	if (!bus)
		return error_set(err, CODE_INVALID_PAYLOAD, "AMQP_URL: %s", why.text);
	if (!kv)
		return error_set(err, CODE_INVALID_PAYLOAD, "REDIS_URL: %s", why.text);
	if (pg_check_url(database_url, &why))
		return error_set(err, CODE_INVALID_PAYLOAD, "DATABASE_URL: %s", why.text);
	return 0;
}
