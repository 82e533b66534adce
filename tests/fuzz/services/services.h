/* Every worker's descriptor, and the tests' own, whose tables main.c keeps to itself. */
#ifndef GARRISON_FUZZ_SERVICES_H
#define GARRISON_FUZZ_SERVICES_H

#include "service.h"

const struct service *service_tick(void);
const struct service *service_arena(void);
const struct service *service_combat_settlement(void);
const struct service *service_state_backup(void);
const struct service *service_auth(void);
const struct service *service_fixture(void);

/* What main() becomes where several are linked. */
int main_of_tick(int argc, char **argv);
int main_of_arena(int argc, char **argv);
int main_of_combat_settlement(int argc, char **argv);
int main_of_state_backup(int argc, char **argv);
int main_of_auth(int argc, char **argv);
int main_of_fixture(int argc, char **argv);

#endif
