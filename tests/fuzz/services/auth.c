/* The service's table, out of its main.c, for the fuzz targets. */
#include "services.h"

#define main main_of_auth
#include "services/auth/main.c" /* NOLINT(bugprone-suspicious-include) */

const struct service *service_auth(void)
{
	return &auth;
}
