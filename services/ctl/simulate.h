/*
 * A crowd of players who know nothing but the public interfaces: HTTP, and for the engine's part AMQP. One thread, one loop.
 *
 *	simulate_verb.c		the loop, its beginning and its end
 *	simulate_player.c	what a player does next
 *	simulate_answer.c	what a player makes of an answer
 *	simulate_http.c		requests under way
 *	simulate_engine.c	fights: begun, ended, told to the fleet until the broker has them
 *	simulate_document.c	what came of a fight, the same whoever asks
 *	simulate_stats.c, simulate_show.c	what is told of it
 *	simulate_check.c	the crowd's own ledger against the database
 */
#ifndef GARRISON_SIMULATE_H
#define GARRISON_SIMULATE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit.h"
#include "bus.h"
#include "json.h"
#include "text.h"
#include "uuid.h"

/* ---- chance ---- */

/* The next number of a sequence that *state alone decides. */
uint64_t chance(uint64_t *state);
/* A whole number from low to high, both included. */
int64_t chance_between(uint64_t *state, int64_t low, int64_t high);
/* True in so many of a hundred cases. */
bool chance_of(uint64_t *state, int percent);

/* ---- calls ---- */

enum sim_call {
	CALL_REGISTER,
	CALL_LOGIN,
	CALL_CREATE,
	CALL_REFRESH,
	CALL_START,
	CALL_STATUS,
	CALL_DELETE,
	CALL_JOIN,
	CALL_CHECK,
	CALL_CANCEL,
	CALL_QUEUE,
	CALL_RESULT,
	CALL_STALE,
	CALL_UNKNOWN,
	CALL_LAST,
	CALL_LOGOUT,
	SIM_CALLS
};

struct sim_route {
	const char *name, *method, *path;
};
extern const struct sim_route sim_routes[SIM_CALLS];

/* ---- figures ---- */

/* Times in microseconds, to a sixteenth of their size. */
#define HISTOGRAM_SLOTS 1024
struct histogram {
	int64_t n;
	int64_t slots[HISTOGRAM_SLOTS];
	int64_t max_us;
};
void histogram_add(struct histogram *histogram, int64_t us);
/* The time that so many of a thousand do not exceed; 0 when there is none. */
int64_t histogram_at(const struct histogram *histogram, int per_mille);

#define SIM_ERRORS_MAX 64
struct sim_error {
	const char *call;
	char code[24];
	int64_t n;
};

struct sim_stats {
	struct histogram calls[SIM_CALLS];
	struct histogram all;
	struct histogram confirm; /* a fight's document published until the broker has it */
	struct histogram settle;  /* … until a player was told the result */
	struct sim_error errors[SIM_ERRORS_MAX];
	size_t n_errors;
	int64_t failed;	       /* calls that were answered otherwise than they should have been */
	int64_t wrong;	       /* answers that were not true */
	char first_wrong[256]; /* "" when none was */
};
void stats_error(struct sim_stats *stats, const char *call, const char *code);
void stats_wrong(struct sim_stats *stats, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- fights ---- */

struct sim_share {
	int64_t char_id;
	bool is_winner;
	int64_t xp, gold;
	const char *item; /* NULL: none */
	int64_t qty;
};

enum fight_stage { FIGHT_FOUGHT, FIGHT_SENT, FIGHT_CONFIRMED };

struct sim_fight {
	struct uuid session_id;
	struct sim_share shares[2];
	int64_t ends_real_us;
	bool twice; /* the engine will say it two times, as engines do */
	enum fight_stage stage;
	uint64_t sequence; /* of the publication, while FIGHT_SENT */
	int64_t sent_us, first_sent_us;
	bool seen;	      /* a player was told the result */
	struct text document; /* written when the fight ends */
};

/* Decides what becomes of the battle between two characters, matched then; the same for the same battle. */
void fight_decide(
	struct sim_fight *fight, const struct uuid *session_id, const int64_t char_ids[2], int64_t matched_us);
/* Appends the result document. */
void fight_write(const struct sim_fight *fight, struct text *out);

struct engine {
	struct bus *bus;
	struct sim_stats *stats;
	struct sim_fight **fights;
	size_t n, room;
	size_t first_open; /* all before it are confirmed */
	int64_t n_confirmed, n_twice, n_reconnects;
	int64_t retry_ms; /* when to connect again, while the connection is gone */
};

/* The fight of this battle, begun now if it is a new one. It stays where it is. */
struct sim_fight *engine_fight(
	struct engine *engine, const struct uuid *session_id, const int64_t char_ids[2], int64_t matched_us);
/* Publishes fights that are over (or all, when hurry), takes confirms, connects again. -1: the broker takes no fights at all. */
int engine_work(struct engine *engine, bool hurry, struct error *err);
/* Milliseconds until the next fight ends, at most most_ms. */
int engine_wait_ms(const struct engine *engine, int most_ms);
/* True when the broker has all of them. */
bool engine_done(const struct engine *engine);
void engine_release(struct engine *engine);

/* ---- players ---- */

enum player_stage {
	PLAYER_NEW,
	PLAYER_REGISTERED, /* or logged out: has no token */
	PLAYER_NAMELESS,   /* logged in without a character */
	PLAYER_CREATED,	   /* whose token does not know the character yet */
	PLAYER_PLAYING,
	PLAYER_GONE
};

#define PAST_FIGHTS 8

struct player {
	char login[40], password[40], name[33];
	const char *gender;
	uint64_t chance;
	enum player_stage stage;
	char *access_token, *refresh_token; /* NULL: none */
	int64_t char_id;
	char character_key[UUID_TEXT_MAX]; /* Idempotency-Key of create_character */
	bool has_session, is_queued;
	const char *mode;	 /* of the arena */
	struct sim_fight *fight; /* the one that is not over for this player */
	struct sim_fight *past[PAST_FIGHTS];
	size_t n_past;
	int64_t due_ms; /* of the next call */
	/* the call under way */
	bool busy;
	enum sim_call call;
	struct sim_fight *asked;
	int64_t sent_us;
	CURL *easy;
	struct curl_slist *headers;
	struct text request, answer;
	char url[512];
};

void player_init(struct player *player, uint64_t seed, size_t index);
void player_release(struct player *player);
/* Which call comes next; leaving says that the game is over. False: none, or not now (due_ms says when to ask again). */
bool player_next(struct player *player, bool leaving, enum sim_call *call);

struct simulation;
/* Makes of the answer what there is to be made; status is 0 when there was none. */
void player_take(struct simulation *simulation, struct player *player, long status);

/* ---- requests ---- */

/* Sends the player's call; answered by player_take() through http_work(). */
void http_send(struct simulation *simulation, struct player *player, enum sim_call call);
/* Waits for answers, or for the engine's broker, and takes what has come. */
void http_work(struct simulation *simulation, int wait_ms);
/* Is anybody there? 0, or -1 unavailable. */
int http_check(const char *gateway, struct error *err);

/* ---- the whole ---- */

struct simulate_options {
	int64_t players, seconds, rate, seed;
	const char *gateway;
	int64_t wait_ms, patience_ms;
	bool no_audit;
};

struct simulation {
	const struct simulate_options *options;
	bool json;
	CURLM *multi;
	struct player *players;
	size_t n;
	struct engine engine;
	struct sim_stats stats;
	int64_t began_ms, ended_ms;
	size_t n_busy, n_passwords; /* calls under way; those of them that check a password */
	bool leaving;
};

/* What the crowd knows against what the database has. Lines that tell of differences, one each; 0 or -1. */
struct sim_verdict {
	int64_t fights;	      /* confirmed by the broker */
	int64_t processed;    /* of those, in the history as they were told */
	int64_t differences;  /* fights and characters that are not as they should be */
	struct text problems; /* the first of them, a line each */
};
int simulate_check(struct simulation *simulation, const struct audit_sources *sources, struct sim_verdict *verdict,
	struct error *err);

void simulate_progress(const struct simulation *simulation);
void simulate_show(
	const struct simulation *simulation, const struct sim_verdict *verdict, bool colour, struct text *out);
void simulate_write(const struct simulation *simulation, const struct sim_verdict *verdict, struct text *out);

#endif
