/* The service's table, out of its main.c, for the fuzz targets. */
#include "services.h"

#define main main_of_combat_settlement
#include "services/combat-settlement/main.c" /* NOLINT(bugprone-suspicious-include) */

const struct service *service_combat_settlement(void)
{
	return &combat_settlement;
}
