/* W3C trace context (https://www.w3.org/TR/trace-context/), as far as traceparent goes. */
#ifndef GARRISON_TRACE_H
#define GARRISON_TRACE_H

#define TRACEPARENT_LEN 55
#define TRACE_ID_LEN 32
#define TRACE_ID_AT 3 /* where in a traceparent the trace id begins */

/*
 * Continues the trace that came, in version 00: its trace id and flags, and a span id of this hop's own. NULL, or what is no valid
 * traceparent of this or a later version, begins a new trace. Any thread.
 */
void trace_continue(const char *came, char out[static TRACEPARENT_LEN + 1]);

#endif
