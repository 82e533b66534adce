/* login_telegram: log in from a Telegram Mini App. */
#ifndef GARRISON_AUTH_LOGIN_TELEGRAM_H
#define GARRISON_AUTH_LOGIN_TELEGRAM_H

#include "logged_in.h"
#include "service.h"

extern const struct schema auth_login_telegram_request;
#define auth_login_telegram_result logged_in_schema
handle_fn auth_login_telegram;

#endif
