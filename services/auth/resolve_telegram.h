/* resolve_telegram: find the account of a Telegram user. */
#ifndef GARRISON_AUTH_RESOLVE_TELEGRAM_H
#define GARRISON_AUTH_RESOLVE_TELEGRAM_H

#include "service.h"

extern const struct schema auth_resolve_telegram_request, auth_resolve_telegram_result;
handle_fn auth_resolve_telegram;

#endif
