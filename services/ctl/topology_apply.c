#include "topology/topology.h"

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "ctl.h"
#include "verbs.h"

int topology_apply_run(struct invocation *in, struct error *err)
{
	size_t n_delays;
	const int64_t *delays_ms = ctl_delays(in, &n_delays);
	CLEANUP(topology_drop) struct topology *topology = topology_new(ctl_settings.amqp_url, delays_ms, n_delays);
	CLEANUP(text_release) struct text problems = { 0 };
	CLEANUP(text_release) struct text out = { 0 };
	CLEANUP(bus_drop) struct bus *bus = broker_connect(false, err);

	if (!bus || (topology_apply(topology, bus, &problems, err) && !problems.len))
		return ctl_failed(err);
	if (in->json) {
		json_open(&out, '{');
		json_key_int(&out, "exchanges", (int64_t)topology->n_exchanges);
		json_key_int(&out, "queues", (int64_t)topology->n_queues);
		json_key(&out, "problems");
		json_open(&out, '[');
		for (const char *line = text_str(&problems); *line; line += strcspn(line, "\n") + 1)
			json_bytes(&out, line, strcspn(line, "\n"));
		json_close(&out, ']');
		json_close(&out, '}');
		printf("%s\n", text_str(&out));
	} else {
		printf("%s", text_str(&problems));
		printf("%zu exchanges and %zu queues with their bindings %s\n", topology->n_exchanges,
			topology->n_queues, problems.len ? "looked at" : "are in place");
	}
	return problems.len ? ctl_failed(err) : CTL_DONE;
}
