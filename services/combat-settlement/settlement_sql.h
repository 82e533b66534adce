/*
 * The statements of a settlement. Each function queues one statement; its answer comes with the next pg_sync(). All are set-based:
 * one statement for any number of fights, rows named in ascending order, so that two settlements never wait for each other in
 * a circle: fights by session, then templates by id, then characters by id, then what characters own.
 *
 * Nothing here keeps a pointer past its return. The calling thread must own pg.
 */
#ifndef SETTLEMENT_SQL_H
#define SETTLEMENT_SQL_H

#include "common/pg.h"
#include "settlement_plan.h"

/* A fight as it goes into the history. */
struct history_row {
	struct uuid session_id;
	const char *participant_ids; /* "{101,102}" */
	int64_t finished_at_us;
	const char *document; /* JSON */
	size_t document_len;
	const unsigned char *digest; /* JSON_DIGEST_LEN bytes */
	/* Of a fight that is not settled: */
	const char *status;
	const char *failure;
};

/*
 * Claims fights: writes them as processed unless they are there already; one that is there as failed or pending, from the same
 * document, is taken over. Answer: session_id of each fight claimed. Rows sorted by session.
 */
void sql_claim(struct pg *pg, const struct history_row *rows, size_t n);
/* Fights that could not be claimed. Answer: session_id, settlement_status, doc_hash, shortfalls, document (where doc_hash is null). */
void sql_recognise(struct pg *pg, const struct uuid *sessions, size_t n);
/* Gives a fight that somebody else wrote into the history the digest of its document. No answer. */
void sql_adopt(struct pg *pg, const struct uuid *session, const unsigned char *digest);
/* Which fights were the last to set what. Answer: id, last_combat_session_id, hp_set_by, energy_set_by. */
void sql_fences(struct pg *pg, const int64_t *ids, size_t n);

/* Templates that are only known by name. */
void sql_make_templates(struct pg *pg, const char *const *ids, size_t n);
/*
 * xp, gold, vitals, last fight, game_stage. This is what locks a character. Answer, for each that exists: as sql_fences().
 */
void sql_change_characters(struct pg *pg, const struct character_rows *rows);
/* Takes from the belt. Answer: place (from 1) of each row that is its owner's, id, and the quantity left, below 0 when it was short. */
void sql_take_from_belt(struct pg *pg, const struct belt_rows *rows);
/* Adds to unequipped stacks. Answer: place (from 1) of each that was there. */
void sql_add_to_stacks(struct pg *pg, const struct owner_rows *rows);
/* Wears equipped items down to 0 at least. No answer. */
void sql_wear(struct pg *pg, const struct owner_rows *rows);
/* Removes the snapshots of finished sessions. No answer. */
void sql_forget_snapshots(struct pg *pg, const struct uuid *sessions, size_t n);

/* Removes items that were used up. No answer. */
void sql_remove_items(struct pg *pg, const int64_t *ids, size_t n);

/* New rows of inventory. */
struct new_items {
	size_t n;
	int64_t *owners;
	const char **templates;
	int64_t *qty;
	int64_t *durability; /* -1: none */
};
void sql_insert_items(struct pg *pg, const struct new_items *items);
/* What was to be consumed and was not there, as JSON arrays. */
void sql_record_shortfalls(
	struct pg *pg, const struct uuid *sessions, const char *const *shortfalls, const size_t *lens, size_t n);

/* Writes fights that could not be settled, with their status and cause. Those processed meanwhile stay as they are. */
void sql_mark(struct pg *pg, const struct history_row *rows, size_t n);

/* Templates by id. Answer: id, name, name_en, stackable, max_durability. */
void sql_templates(struct pg *pg, const char *const *ids, size_t n);

/* The largest quantity that one statement takes from a row, so that its integer cannot overflow. */
#define TAKEN_MAX INT32_MAX

#endif
