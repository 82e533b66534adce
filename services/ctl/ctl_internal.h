/* What ctl.c, the words it understands and the help it prints share. */
#ifndef GARRISON_CTL_INTERNAL_H
#define GARRISON_CTL_INTERNAL_H

#include "ctl.h"

extern const struct schema ctl_settings_schema;

/* The option of the verb with this name (without the dashes), NULL when there is none. */
const struct field *ctl_find_option(const struct verb *verb, const char *name, size_t len);
/* Reads --name and --name=value words into in->options and in->json. 0, or -1 with what is wrong. */
int ctl_read_options(struct invocation *in, char **words, size_t n, struct error *err);

void ctl_print_version(void);
/* Of one verb; or, where verb is NULL, of the verbs that begin with the word, and of all when none does. */
void ctl_print_help(const struct verb *verb, const struct verb *verbs, size_t n_verbs, const char *word);
void ctl_print_description(const struct verb *verbs, size_t n_verbs);

#endif
