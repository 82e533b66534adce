/*
 * Settling: fights in, each decided. A batch is one transaction of set-based statements; a fight that fails in it is settled apart,
 * and so are batches that cannot commit, down to single fights. What is committed is committed once for ever: the fight's row in
 * combat_history is both the claim and the record, and lives in the same transaction as every effect.
 */
#ifndef SETTLEMENT_H
#define SETTLEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/pg.h"
#include "fight_summary.h"
#include "result_document.h"

enum fight_state {
	FIGHT_OPEN,	/* not decided yet */
	FIGHT_SETTLED,	/* committed now */
	FIGHT_REPLAYED, /* was committed before, from the same document */
	FIGHT_CONFLICT, /* is there already, from another document */
	FIGHT_HOPELESS, /* .error: fails the same way every time; recorded as failed */
	FIGHT_DELAYED	/* .error: transient; recorded as pending where that was possible */
};

/* What the newest fight to mention it decides; the columns of fences, in this order. */
enum aspect { ASPECT_LAST, ASPECT_HP, ASPECT_ENERGY, ASPECT_COUNT };

struct fight {
	const struct result_document *document;
	const char *body; /* the document as it came */
	size_t body_len;
	const unsigned char *digest;
	/* Filled by settle(): */
	enum fight_state state;
	const struct error *error;
	const char *shortfalls; /* a JSON array */
	size_t shortfalls_len;
	uint64_t newest[ASPECT_COUNT]; /* bit i: for participant i the database knows no newer fight */
	const char **vitals;	       /* each participant's, JSON, as the database has them now */
};

/* A kind of item. */
struct template_row {
	const char *id;
	bool stackable;
	int64_t max_durability; /* -1: none */
};

/* What is known of the templates that a batch grants. Both arrays sorted by id; templates that nobody made are not in them. */
struct templates {
	struct template_row *rows;
	struct item_name *names;
	size_t n;
};

/* Reads the templates that the fights grant. 0, or -1 and err of pg_sync(). Everything lives in scratch. pg's thread. */
int templates_read(struct templates *templates, struct pg *pg, struct fight *const *fights, size_t n,
	struct scratch *scratch, struct error *err);

/*
 * Decides every fight: none is left open. The fights must have distinct sessions. Results live in scratch. pg's thread; returns with
 * no transaction open.
 */
void settle(struct pg *pg, struct fight *const *fights, size_t n, const struct templates *templates,
	struct scratch *scratch);
/* Delays all fights, which are open, for what kept them from being settled at all, and has the history say so. As settle(). */
void settle_later(
	struct pg *pg, struct fight *const *fights, size_t n, const struct error *why, struct scratch *scratch);

#endif
