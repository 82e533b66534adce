/* The dead queue of a service, read message by message, and the options its verbs share. */
#ifndef GARRISON_DEAD_H
#define GARRISON_DEAD_H

#include "bus.h"
#include "ctl.h"
#include "naming.h"
#include "text.h"

struct dead_options {
	const char *id;
	const char *code;
	int64_t limit; /* 0: all */
	bool dry_run;
	int64_t rate; /* messages a second; 0: as fast as it goes */
};

/* The options of the verbs that change the queue. */
#define DEAD_CHANGE_FIELDS 5
extern const struct field dead_change_fields[DEAD_CHANGE_FIELDS];

/* A dead letter: the delivery, and what its g-* headers say. Valid until the next one is read; strings may be NULL unless said. */
struct dead_letter {
	struct bus_delivery delivery;
	const char *routing_key; /* the original one; never NULL */
	const char *command;	 /* its last part; never NULL */
	const char *code;	 /* never NULL: without g-code, what the broker says of it ("expired") */
	const char *stage;
	const char *error;
	const char *first_at;
	const char *last_at;
	const char *worker;
	int64_t attempt;
	bool withheld; /* its body may hold a secret: the broker put it here, and no worker has blanked it */
};

/* One reading of the queue, from its head to what was its end when it began. What is not acked goes back when it is closed. */
struct dead_scan {
	struct bus *bus;
	char queue[BROKER_NAME_MAX];
	const struct dead_options *options;
	uint32_t left;	/* messages not looked at yet */
	int64_t wanted; /* matching ones still to give; -1: no limit */
	uint32_t held;	/* delivered and not acked */
	uint32_t room;	/* how many the broker lets us hold: what all consumers' prefetches come to */
	int consumers;
	bool acked;   /* anything */
	bool secrets; /* the service has commands whose bodies may hold one */
};

/* The service's name from the arguments and its queue, opened. 0, or -1: invalid_payload for no such service, not_found, unavailable. */
int dead_open(struct dead_scan *scan, const struct invocation *in, struct error *err);
/* Puts back what is not acked; waits until the broker has taken the acks and shows what went back. */
void dead_close(struct dead_scan *scan);
/* The next letter that the options ask for: 1, 0 at the end, -1 failed. */
int dead_next(struct dead_scan *scan, struct dead_letter *letter, struct error *err);
/* Deletes a letter from the queue. 0, or -1 unavailable. */
int dead_ack(struct dead_scan *scan, uint64_t tag, struct error *err);

/*
 * Writes the letter as a JSON object; with_body: the body too, as JSON, or where it is none as text under "body_text"; null where it is
 * withheld.
 */
void dead_write(const struct dead_letter *letter, bool with_body, struct text *out);
/* One line of words: id, command, code, error. */
void dead_print_line(const struct dead_letter *letter);

#endif
