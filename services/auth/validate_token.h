/* validate_token: check an access token. */
#ifndef GARRISON_AUTH_VALIDATE_TOKEN_H
#define GARRISON_AUTH_VALIDATE_TOKEN_H

#include "service.h"

extern const struct schema auth_validate_token_request, auth_validate_token_result;
handle_batch_fn auth_validate_token;

#endif
