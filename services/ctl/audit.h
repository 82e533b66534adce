/*
 * Do broker, cache and database agree? The questions stand in sections: each is one file that looks, changes nothing, and reports
 * what it finds. Looks are safe while the fleet works: what the database alone can prove is read in one snapshot; what takes two
 * stores is looked at again until it has lasted, or is gone.
 */
#ifndef GARRISON_AUDIT_H
#define GARRISON_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl.h"
#include "kv.h"
#include "pg.h"
#include "scratch.h"
#include "text.h"
#include "topology/management.h"
#include "topology/topology.h"
#include "uuid.h"

#define AUDIT_NUMBERS_MAX 16
#define AUDIT_PAGE 1000

/* One thing that does not agree. kind and text together tell it from any other, and do not change while it lasts. */
struct finding {
	const char *kind;	/* static */
	int64_t char_id;	/* 0: none */
	struct uuid session_id; /* nil: none */
	const char *text;
};

/* How much was looked at, or what is worth knowing though it is no discrepancy. */
struct audit_number {
	const char *name; /* static */
	int64_t value;
};

struct audit_report {
	struct scratch scratch; /* of the findings' texts */
	struct finding *items;
	size_t n, room;
	size_t keep;   /* no more are kept */
	int64_t total; /* found in all */
	struct audit_number numbers[AUDIT_NUMBERS_MAX];
	size_t n_numbers;
};

/* Where a section looks. */
struct audit_sources {
	struct pg *pg;
	struct kv *kv;
	struct management *management;
	struct topology *topology;
};
/* Connects by the settings. 0, or -1: a URL is wrong, or the database does not answer; to be closed all the same. */
int audit_open(struct audit_sources *sources, struct invocation *in, struct error *err);
void audit_close(struct audit_sources *sources);

struct audit_section {
	const char *name;
	const char *help;
	/* Looks once. 0, or -1: a server did not answer as it should. */
	int (*look)(const struct audit_sources *sources, struct audit_report *report, struct error *err);
};

/* In the order in which they are shown. */
extern const struct audit_section audit_sections[];
extern const size_t n_audit_sections;

int audit_fights(const struct audit_sources *sources, struct audit_report *report, struct error *err);
int audit_tombstones(const struct audit_sources *sources, struct audit_report *report, struct error *err);
int audit_ticks(const struct audit_sources *sources, struct audit_report *report, struct error *err);
int audit_arena(const struct audit_sources *sources, struct audit_report *report, struct error *err);
/* A part of the arena. */
int audit_battles(const struct audit_sources *sources, struct audit_report *report, struct error *err);
int audit_cache(const struct audit_sources *sources, struct audit_report *report, struct error *err);
int audit_broker(const struct audit_sources *sources, struct audit_report *report, struct error *err);

/* ---- what a section reports ---- */

void audit_report_init(struct audit_report *report, size_t keep);
void audit_report_release(struct audit_report *report);
/* Adds one finding; session may be NULL, char_id 0. Beyond the number kept it is only counted. */
void audit_find(struct audit_report *report, const char *kind, int64_t char_id, const struct uuid *session,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* So many more were found, and are not named. */
void audit_find_more(struct audit_report *report, int64_t more);
/* Adds to the number of this name. */
void audit_count(struct audit_report *report, const char *name, int64_t more);
/* Leaves in the report only what is in the later one too, and takes over its numbers. */
void audit_report_keep_lasting(struct audit_report *report, const struct audit_report *later);

/* ---- how a section looks ---- */

/* One query with a time limit of its own. As pg_query(). */
int audit_query(const struct audit_sources *sources, const struct pg_statement *statement, struct pg_params *params,
	struct pg_rows *rows, struct error *err);
/* Begins a round trip with a time limit of its own; then kv_queue() and kv_sync(). */
struct kv *audit_kv(const struct audit_sources *sources);

/* A page of keys, each NUL-terminated. */
struct key_page {
	const char *const *keys;
	size_t n;
};
typedef int key_page_fn(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err);
/*
 * Every key of the pattern, page by page; one that is added or removed meanwhile may be missed, and one may come twice. 0/-1, or what
 * the page's function failed with.
 */
int audit_scan(
	const struct audit_sources *sources, const char *pattern, key_page_fn *page, void *context, struct error *err);
/* The whole number that the text is and nothing else; false for any other text. */
bool audit_number_of(const char *text, int64_t *out);

/* ---- the whole ---- */

struct audit_options {
	struct list sections; /* of struct audit_choice; none: all */
	int64_t patience_ms;
	int64_t keep;
};
struct audit_choice {
	int section;
};

struct audit_result {
	const struct audit_section *section;
	struct audit_report report;
	int64_t took_ms;
};

/* A whole audit: as many results as sections were chosen. */
struct audit {
	struct audit_result *results;
	size_t n;
};

/* Looks at what the options choose. 0, or -1 when a server does not answer: then *out is to be released all the same. */
int audit_run_all(
	const struct audit_sources *sources, const struct audit_options *options, struct audit *out, struct error *err);
void audit_release(struct audit *audit);
/* The number of discrepancies in all. */
int64_t audit_total(const struct audit *audit);
/* As JSON (one object), and as lines for people. */
void audit_write(const struct audit *audit, struct text *out);
void audit_show(const struct audit *audit, bool colour, struct text *out);

#endif
