#include "topology/users.h"

#include <stdio.h>

#include "topology/management.h"

#include "ctl.h"
#include "verbs.h"

struct users_options {
	const char *passwords;
};

static const struct field option_fields[] = {
	FIELD(struct users_options, passwords,
		.help = "folder with a file for each user that holds its password; without, none can log in"),
};
const struct schema topology_users_options = SCHEMA(struct users_options, option_fields, .name = "users");

int topology_users_run(struct invocation *in, struct error *err)
{
	const struct users_options *options = in->options;
	size_t n_delays;
	const int64_t *delays_ms = ctl_delays(in, &n_delays);
	CLEANUP(topology_drop) struct topology *topology = topology_new(ctl_settings.amqp_url, delays_ms, n_delays);
	CLEANUP(text_release) struct text out = { 0 };
	char vhost[VHOST_MAX];

	if (vhost_of_url(ctl_settings.amqp_url, vhost, err) ||
		topology_users(topology, fleet_list, vhost, options->passwords, &out, err))
		return ctl_failed(err);
	printf("%s", text_str(&out));
	return CTL_DONE;
}
