/* The verbs: each is a file of its own, and a row in main.c. */
#ifndef GARRISON_VERBS_H
#define GARRISON_VERBS_H

#include "ctl.h"

int topology_apply_run(struct invocation *in, struct error *err);
int topology_check_run(struct invocation *in, struct error *err);
int topology_export_run(struct invocation *in, struct error *err);

int topology_users_run(struct invocation *in, struct error *err);
extern const struct schema topology_users_options;

int migrate_run(struct invocation *in, struct error *err);
extern const struct schema migrate_options;

int restore_run(struct invocation *in, struct error *err);
extern const struct schema restore_options;

int keys_list_run(struct invocation *in, struct error *err);
int keys_rotate_run(struct invocation *in, struct error *err);
extern const struct schema keys_rotate_options;

int publish_run(struct invocation *in, struct error *err);
extern const struct schema publish_options;
void publish_more_help(void);

int call_run(struct invocation *in, struct error *err);
extern const struct schema call_options;
void call_more_help(void);

int dead_list_run(struct invocation *in, struct error *err);
extern const struct schema dead_list_options;

int dead_show_run(struct invocation *in, struct error *err);
extern const struct schema dead_show_options;

int dead_redrive_run(struct invocation *in, struct error *err);
extern const struct schema dead_redrive_options;

int dead_purge_run(struct invocation *in, struct error *err);
extern const struct schema dead_purge_options;

int status_run(struct invocation *in, struct error *err);
extern const struct schema status_options;

int audit_run(struct invocation *in, struct error *err);
extern const struct schema audit_options;
void audit_more_help(void);

int simulate_run(struct invocation *in, struct error *err);
extern const struct schema simulate_options;

#endif
