/* Lines for people in which others have a say: a dead letter's body may be any bytes. */
#ifndef CTL_PLAIN_H
#define CTL_PLAIN_H

#include "text.h"

/*
 * Prints text on standard output, a tab and a line feed as they are, and \xNN for each byte that a terminal could take for a command
 * (a control character) or that is no UTF-8.
 */
void plain_print(const struct text *text);

#endif
