#include <stdio.h>

#include "topology/differences.h"

#include "ctl.h"
#include "verbs.h"

static void print_json(const struct differences *found)
{
	CLEANUP(text_release) struct text out = { 0 };

	json_open(&out, '{');
	json_key_bool(&out, "ok", found->n_lasting == 0);
	json_key(&out, "differences");
	json_open(&out, '[');
	for (size_t i = 0; i < found->n; i++) {
		json_open(&out, '{');
		json_key_string(&out, "kind", found->items[i].kind);
		json_key_string(&out, "name", found->items[i].name);
		json_key_string(&out, "problem", found->items[i].problem);
		json_key_string(&out, "advice", found->items[i].advice);
		json_key_bool(&out, "may_pass", found->items[i].may_pass);
		json_close(&out, '}');
	}
	json_close(&out, ']');
	json_close(&out, '}');
	printf("%s\n", text_str(&out));
}

static void print_lines(const struct topology *topology, const struct differences *found)
{
	for (size_t i = 0; i < found->n; i++) {
		const struct difference *it = &found->items[i];

		printf("%s %s %s (%s)\n", it->kind, it->name, it->problem, it->advice);
	}
	if (found->n_lasting == 0)
		printf("%zu exchanges and %zu queues with their bindings are as they should be\n",
			topology->n_exchanges, topology->n_queues);
}

int topology_check_run(struct invocation *in, struct error *err)
{
	size_t n_delays;
	const int64_t *delays_ms = ctl_delays(in, &n_delays);
	CLEANUP(topology_drop) struct topology *topology = topology_new(ctl_settings.amqp_url, delays_ms, n_delays);
	char vhost[VHOST_MAX];
	struct differences found;

	if (vhost_of_url(ctl_settings.amqp_url, vhost, err))
		return ctl_failed(err);
	CLEANUP(management_drop)
	struct management *management = management_new(ctl_settings.rabbitmq_api_url, vhost, err);

	if (!management || topology_check(topology, management, &in->scratch, &found, err))
		return ctl_failed(err);
	if (in->json)
		print_json(&found);
	else
		print_lines(topology, &found);
	if (found.n_lasting == 0)
		return CTL_DONE;
	error_set(err, CODE_CONFLICT, "the broker differs from the table in %zu place%s", found.n,
		found.n == 1 ? "" : "s");
	return CTL_FAILED;
}
