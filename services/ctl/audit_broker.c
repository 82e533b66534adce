/* The broker against the table, and what waits there. */
#include <string.h>

#include "audit.h"
#include "status.h"
#include "topology/differences.h"

#define DIFFERENCES_MAX ((size_t)256 << 20)

static int look_at_topology(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	CLEANUP(scratch_release) struct scratch scratch;
	struct differences found;

	scratch_init(&scratch, DIFFERENCES_MAX);
	if (topology_check(sources->topology, sources->management, &scratch, &found, err))
		return -1;
	for (size_t i = 0; i < found.n; i++) {
		const struct difference *it = &found.items[i];

		if (!it->may_pass)
			audit_find(report, it->kind, 0, NULL, "%s %s %s (%s)", it->kind, it->name, it->problem,
				it->advice);
	}
	audit_count(report, "exchanges", (int64_t)sources->topology->n_exchanges);
	audit_count(report, "queues", (int64_t)sources->topology->n_queues);
	return 0;
}

int audit_broker(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	struct status status;

	if (look_at_topology(sources, report, err))
		return -1;
	status_read_broker(sources->management, &status);
	if (status.broker.code != CODE_OK) {
		*err = status.broker;
		return -1;
	}
	for (size_t i = 0; i < status.n_services; i++) {
		const struct service_status *service = &status.services[i];

		audit_count(report, "messages", service->durable.ready + service->durable.in_flight);
		audit_count(report, "retrying", service->retrying.ready);
		audit_count(report, "dead letters", service->dead.ready + service->dead.in_flight);
		audit_count(report, "expired and stuck", service->durable.undelivered + service->retrying.undelivered);
	}
	return 0;
}
