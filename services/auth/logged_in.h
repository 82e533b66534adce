/* What login, login_telegram and refresh answer, and the event auth.logged_in. */
#ifndef GARRISON_AUTH_LOGGED_IN_H
#define GARRISON_AUTH_LOGGED_IN_H

#include "login_session.h"
#include "service.h"

extern const struct schema logged_in_schema;
#define AUTH_EVENTS 1
extern const struct service_event auth_events[AUTH_EVENTS];

/* Queues auth.logged_in for a login just opened. The call's thread. */
void publish_logged_in(struct call *call, const struct login_session *session);
/* Has the character's state restored, signs an access token and answers. The call's thread. */
enum outcome reply_logged_in(struct call *call, const struct login_session *session, const char *refresh_token,
	const struct list *characters);
/*
 * Opens a login of an account that has proved itself (proved_by: by this password hash, or NULL), as the character wanted (absent: its
 * sole one), announces it and answers. The call's thread.
 */
enum outcome log_in(struct call *call, int64_t account_id, const char *proved_by, const struct opt_int *char_id);

#endif
