/* The table of the tests' own service, out of its main.c, for the fuzz targets. */
#include "services.h"

#define main main_of_fixture
#include "tests/fixture/main.c" /* NOLINT(bugprone-suspicious-include) */

const struct service *service_fixture(void)
{
	return &fixture;
}
