#include "result_text.h"

#include <string.h>

const char *const languages[LANGUAGE_COUNT] = { [LANGUAGE_RU] = "ru", [LANGUAGE_EN] = "en" };

static const char *const phrases[LANGUAGE_COUNT][PHRASE_COUNT] = {
	[LANGUAGE_RU] = {
		[PHRASE_ACTIVE] = "Бой ещё идёт",
		[PHRASE_SETTLING] = "Бой завершён, подводим итоги",
		[PHRASE_NOT_FOUND] = "Бой устарел или не существует",
		[PHRASE_NOT_YOURS] = "Вы не участвовали в этом бою",
		[PHRASE_OVER] = "Бой уже завершен!",
	},
	[LANGUAGE_EN] = {
		[PHRASE_ACTIVE] = "The fight is still going on",
		[PHRASE_SETTLING] = "The fight is over, the result is being counted",
		[PHRASE_NOT_FOUND] = "This fight is too old or does not exist",
		[PHRASE_NOT_YOURS] = "You were not in this fight",
		[PHRASE_OVER] = "The fight is over!",
	},
};

struct words {
	const char *winner;
	const char *draw;
	const char *reward;
	const char *xp;
	const char *gold;
};

static const struct words words[LANGUAGE_COUNT] = {
	[LANGUAGE_RU] = { "Победитель: ", "Ничья", "Награда: ", "опыта", "золота" },
	[LANGUAGE_EN] = { "Winner: ", "Draw", "Reward: ", "xp", "gold" },
};

struct team {
	const char *id;
	const char *names[LANGUAGE_COUNT];
};

static const struct team teams[] = {
	{ "blue", { [LANGUAGE_RU] = "Синие", [LANGUAGE_EN] = "Blue" } },
	{ "red", { [LANGUAGE_RU] = "Красные", [LANGUAGE_EN] = "Red" } },
};

const char *result_phrase(enum language language, enum phrase phrase)
{
	return phrases[language][phrase];
}

static const char *team_name(enum language language, const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(teams); i++)
		if (strcmp(teams[i].id, id) == 0)
			return teams[i].names[language];
	return id;
}

static const char *item_name(enum language language, const struct granted_item *item)
{
	if (language == LANGUAGE_EN && item->name_en)
		return item->name_en;
	return item->name ? item->name : item->item_template_id;
}

/* What stands before the next part of the reward: the line's beginning, then commas. */
static const char *lead_in(bool *begun, const struct words *in)
{
	if (*begun)
		return ", ";
	*begun = true;
	return in->reward;
}

static void write_reward(enum language language, const struct fight_share *share, struct text *out)
{
	const struct granted_item *items = share->items_gained.items;
	const struct words *in = &words[language];
	bool begun = false;

	if (share->xp_gained || share->gold_gained || share->items_gained.n)
		text_char(out, '\n');
	if (share->xp_gained)
		text_printf(out, "%s%lld %s", lead_in(&begun, in), (long long)share->xp_gained, in->xp);
	if (share->gold_gained)
		text_printf(out, "%s%lld %s", lead_in(&begun, in), (long long)share->gold_gained, in->gold);
	for (size_t i = 0; i < share->items_gained.n; i++)
		text_printf(out, "%s%s ×%lld", lead_in(&begun, in), item_name(language, &items[i]),
			(long long)items[i].qty);
}

void result_text_write(
	enum language language, const struct fight_summary *summary, const struct fight_share *share, struct text *out)
{
	const struct words *in = &words[language];

	text_str_add(out, result_phrase(language, PHRASE_OVER));
	if (summary->finish_reason == FINISH_DRAW)
		text_printf(out, "\n%s", in->draw);
	else if (summary->winner_team && *summary->winner_team)
		text_printf(out, "\n%s%s", in->winner, team_name(language, summary->winner_team));
	write_reward(language, share, out);
}
