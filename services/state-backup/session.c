#include "session.h"

#include "cleanup.h"

int sessions_find_finished(struct pg *pg, struct session *sessions, size_t n, struct error *err)
{
	CLEANUP(release_memory) struct uuid *ids = must_alloc((n + 1) * sizeof(*ids));
	CLEANUP(release_memory) size_t *places = must_alloc((n + 1) * sizeof(*places));
	CLEANUP(release_memory) bool *over = must_zalloc((n + 1) * sizeof(*over));
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		size_t m = 0;
		for (size_t i = 0; session_kinds[kind]->find_finished && i < n; i++) {
			if (sessions[i].kind != kind)
				continue;
			over[m] = false;
			places[m] = i;
			ids[m++] = sessions[i].id;
		}
		if (m && session_kinds[kind]->find_finished(pg, ids, m, over, err))
			return -1;
		for (size_t i = 0; i < m; i++)
			sessions[places[i]].over = over[i];
	}
	return 0;
}

static const struct pg_statement forget_sessions = {
	"forget_sessions",
	"DELETE FROM session_snapshots s WHERE s.character_id = ANY ($1::bigint[]) AND NOT EXISTS "
	"(SELECT FROM unnest($2::text[], $3::uuid[], $4::bigint[]) AS k (kind, session_id, character_id) "
	"WHERE k.character_id = s.character_id AND k.kind = s.kind AND k.session_id = s.session_id)",
};

void sessions_queue_forget(
	struct pg *pg, const int64_t *char_ids, size_t n_chars, const struct session *sessions, size_t n)
{
	CLEANUP(release_memory) const char **kinds = must_alloc((n + 1) * sizeof(*kinds));
	CLEANUP(release_memory) struct uuid *ids = must_alloc((n + 1) * sizeof(*ids));
	CLEANUP(release_memory) int64_t *owners = must_alloc((n + 1) * sizeof(*owners));
	size_t m = 0;
	for (size_t i = 0; i < n; i++) {
		if (sessions[i].over || sessions[i].gone)
			continue;
		kinds[m] = session_kinds[sessions[i].kind]->name;
		ids[m] = sessions[i].id;
		owners[m++] = sessions[i].char_id;
	}
	struct pg_params params = { 0 };
	pg_add_int8_array(&params, char_ids, n_chars);
	pg_add_text_array(&params, kinds, m);
	pg_add_uuid_array(&params, ids, m);
	pg_add_int8_array(&params, owners, m);
	pg_queue(pg, &forget_sessions, &params);
}

char *session_key(const char *prefix, const char *id, struct scratch *scratch)
{
	return scratch_printf(scratch, "%s%s", prefix, id);
}
