/* change_password: set another password. */
#ifndef GARRISON_AUTH_CHANGE_PASSWORD_H
#define GARRISON_AUTH_CHANGE_PASSWORD_H

#include "service.h"

extern const struct schema auth_change_password_request, auth_change_password_result;
handle_fn auth_change_password;

#endif
