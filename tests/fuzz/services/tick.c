/* The service's table, out of its main.c, for the fuzz targets. */
#include "services.h"

#define main main_of_tick
#include "services/tick/main.c" /* NOLINT(bugprone-suspicious-include) */

const struct service *service_tick(void)
{
	return &tick;
}
