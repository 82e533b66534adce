/* create_character: make a character of an account. */
#ifndef GARRISON_AUTH_CREATE_CHARACTER_H
#define GARRISON_AUTH_CREATE_CHARACTER_H

#include "service.h"

extern const struct schema auth_create_character_request, auth_create_character_result;
handle_fn auth_create_character;

#endif
