#include "session_map.h"

static const struct field fields[] = {
	FIELD(struct session_entry, kind, .required = true, .help = "combat, inventory or scenario"),
	FIELD(struct session_entry, session_id, .as = "", .required = true, .help = "the session's id"),
};
const struct schema session_entry_schema = SCHEMA(struct session_entry, fields, .name = "sessions by kind");

struct map session_map(const char *const ids[SESSION_KINDS_MAX], struct scratch *scratch)
{
	struct session_entry *entries = scratch_array(scratch, n_session_kinds, sizeof(*entries));
	struct map map = { .items = entries };
	for (size_t kind = 0; kind < n_session_kinds; kind++)
		if (ids[kind])
			entries[map.n++] = (struct session_entry){ session_kinds[kind]->name, ids[kind] };
	return map;
}
