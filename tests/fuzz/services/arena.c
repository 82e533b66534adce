/* The service's table, out of its main.c, for the fuzz targets. */
#include "services.h"

#define main main_of_arena
#include "services/arena/main.c" /* NOLINT(bugprone-suspicious-include) */

const struct service *service_arena(void)
{
	return &arena;
}
