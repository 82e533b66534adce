#ifndef RESTORED_EVENT_H
#define RESTORED_EVENT_H

#include "restore.h"
#include "service.h"

#define STATE_BACKUP_EVENTS 1
extern const struct service_event state_backup_events[STATE_BACKUP_EVENTS];

/*
 * Queues the event state-backup.restored for an item whose outcome is RESTORED; its message id follows from the call's and the
 * character. The call's thread.
 */
void publish_restored(struct call *call, const struct restore *item);

/* What restore.repeat_id is for a call: its message id where it may be delivered again, else NULL. */
const char *repeat_id_of(const struct call *call);

#endif
