/* Places where a test may have the process die, as a power cut would choose them. */
#ifndef GARRISON_CRASH_H
#define GARRISON_CRASH_H

#ifdef GARRISON_CRASH_POINTS
/*
 * Ends the process by SIGKILL when CRASH_AT=site:n is in the environment and this is the nth time that the site is reached. Any
 * thread. The tests read the sites out of the source: each is there once, as text.
 */
void crash_point(const char *site);
#else
/* Nothing, but in a build for the tests: make EXTRA_CFLAGS=-DGARRISON_CRASH_POINTS OUT=... */
static inline void crash_point(const char *site)
{
	(void)site;
}
#endif

#endif
