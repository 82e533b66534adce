/* The description of all routes, OpenAPI 3.1, from the route table and the commands' schemas. */
#ifndef GATEWAY_OPENAPI_H
#define GATEWAY_OPENAPI_H

#include "text.h"

/* Writes the document onto out. Main thread. */
void openapi_write(struct text *out);

#endif
