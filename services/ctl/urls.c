#include "urls.h"

#include "topology/management.h"

#include "bus.h"
#include "ctl.h"
#include "kv.h"
#include "pg.h"

int urls_check(struct error *err)
{
	struct error why;
	struct bus *bus CLEANUP(bus_drop) = bus_new(ctl_settings.amqp_url, "", &why);
	struct kv *kv CLEANUP(kv_drop) = kv_new(ctl_settings.redis_url, "", &why);
	struct management *management CLEANUP(management_drop) = NULL;

	if (!bus)
		return error_set(err, CODE_INVALID_PAYLOAD, "AMQP_URL: %s", why.text);
	if (!kv)
		return error_set(err, CODE_INVALID_PAYLOAD, "REDIS_URL: %s", why.text);
	if (pg_check_url(ctl_settings.database_url, &why))
		return error_set(err, CODE_INVALID_PAYLOAD, "DATABASE_URL: %s", why.text);
	management = management_new(ctl_settings.rabbitmq_api_url, "/", err);
	return management ? 0 : -1;
}
