/* What the player reads about a fight, in Russian and English. Pure: no I/O. */
#ifndef RESULT_TEXT_H
#define RESULT_TEXT_H

#include "common/text.h"
#include "fight_summary.h"

enum language { LANGUAGE_RU, LANGUAGE_EN, LANGUAGE_COUNT };
extern const char *const languages[LANGUAGE_COUNT];

enum phrase { PHRASE_ACTIVE, PHRASE_SETTLING, PHRASE_NOT_FOUND, PHRASE_NOT_YOURS, PHRASE_OVER, PHRASE_COUNT };

/* A fixed text; static. Any thread. */
const char *result_phrase(enum language language, enum phrase phrase);

/* The text of a finished fight: that it is over, who won, what was gained; a line without content is left out. Any thread. */
void result_text_write(
	enum language language, const struct fight_summary *summary, const struct fight_share *share, struct text *out);

#endif
