/* login: log in by password. */
#ifndef GARRISON_AUTH_LOGIN_H
#define GARRISON_AUTH_LOGIN_H

#include "logged_in.h"
#include "service.h"

extern const struct schema auth_login_request;
#define auth_login_result logged_in_schema
handle_fn auth_login;

#endif
