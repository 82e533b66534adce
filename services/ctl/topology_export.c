#include <stdio.h>

#include "topology/management.h"
#include "topology/topology.h"

#include "ctl.h"
#include "verbs.h"

int topology_export_run(struct invocation *in, struct error *err)
{
	size_t n_delays;
	const int64_t *delays_ms = ctl_delays(in, &n_delays);
	CLEANUP(topology_drop) struct topology *topology = topology_new(ctl_settings.amqp_url, delays_ms, n_delays);
	CLEANUP(text_release) struct text out = { 0 };
	char vhost[VHOST_MAX];

	if (vhost_of_url(ctl_settings.amqp_url, vhost, err))
		return ctl_failed(err);
	topology_export(topology, vhost, &out);
	printf("%s", text_str(&out));
	return CTL_DONE;
}
