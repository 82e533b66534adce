/* register: make an account. */
#ifndef GARRISON_AUTH_REGISTER_H
#define GARRISON_AUTH_REGISTER_H

#include "service.h"

extern const struct schema auth_register_request, auth_register_result;
handle_fn auth_register;

#endif
