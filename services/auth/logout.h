/* logout: revoke a login. */
#ifndef GARRISON_AUTH_LOGOUT_H
#define GARRISON_AUTH_LOGOUT_H

#include "service.h"

extern const struct schema auth_logout_request, auth_logout_result;
handle_fn auth_logout;

#endif
