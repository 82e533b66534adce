#include "ctl.h"
#include "verbs.h"

/* clang-format off */
static const struct verb verbs[] = {
	{ "topology apply", "", 0, "Make what is missing of exchanges, queues and bindings", NULL, topology_apply_run, NULL },
	{ "topology check", "", 0, "Tell every difference between the broker and the table", NULL, topology_check_run, NULL },
	{ "topology export", "", 0, "Write the topology as RabbitMQ's definitions JSON", NULL, topology_export_run, NULL },
	{ "topology users", "", 0, "Write a broker user a service, with just its rights, as definitions JSON", &topology_users_options,
		topology_users_run, NULL },
	{ "migrate", "", 0, "Bring the database's schema up to date", &migrate_options, migrate_run, NULL },
	{ "restore", "", 0, "Refill an emptied cache: restore every character that is not live", &restore_options, restore_run, NULL },
	{ "keys list", "", 0, "Show the keys that access tokens are signed with", NULL, keys_list_run, NULL },
	{ "keys rotate", "", 0, "Make a new key to sign access tokens with, and let the others retire", &keys_rotate_options, keys_rotate_run, NULL },
	{ "publish", "SERVICE.COMMAND JSON|-", 2, "Publish a command durably, and wait until the broker has it",
		&publish_options, publish_run, publish_more_help },
	{ "call", "SERVICE.COMMAND JSON|-", 2, "Send a request and print its reply; exit code 1 when it is not ok",
		&call_options, call_run, call_more_help },
	{ "dead list", "SERVICE", 1, "Count a service's dead letters by command and code", &dead_list_options, dead_list_run, NULL },
	{ "dead show", "SERVICE", 1, "Show dead letters whole", &dead_show_options, dead_show_run, NULL },
	{ "dead redrive", "SERVICE", 1, "Send dead letters to be processed again", &dead_redrive_options, dead_redrive_run, NULL },
	{ "dead purge", "SERVICE", 1, "Delete dead letters", &dead_purge_options, dead_purge_run, NULL },
	{ "status", "", 0, "Show queues, workers, rates, what is late and what is dead (the broker counts every 5 s)", &status_options, status_run, NULL },
	{ "audit", "", 0, "Prove that broker, cache and database agree; exit code 1 when they do not", &audit_options, audit_run,
		audit_more_help },
	{ "simulate", "", 0, "Let a crowd of players play through HTTP and AMQP, and audit what came of it", &simulate_options,
		simulate_run, NULL },
};
/* clang-format on */

int main(int argc, char **argv)
{
	return ctl_main(verbs, ARRAY_LEN(verbs), argc, argv);
}
