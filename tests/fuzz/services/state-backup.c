/* The service's table, out of its main.c, for the fuzz targets. */
#include "services.h"

#define main main_of_state_backup
#include "services/state-backup/main.c" /* NOLINT(bugprone-suspicious-include) */

const struct service *service_state_backup(void)
{
	return &state_backup;
}
