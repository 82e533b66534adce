/* refresh: get the next pair of tokens. */
#ifndef GARRISON_AUTH_REFRESH_H
#define GARRISON_AUTH_REFRESH_H

#include "logged_in.h"
#include "service.h"

extern const struct schema auth_refresh_request;
#define auth_refresh_result logged_in_schema
handle_fn auth_refresh;

#endif
