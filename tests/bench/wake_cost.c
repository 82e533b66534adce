/*
 * What waking a process costs: two of them hand a byte to and fro through pipes, both on one core; then each on a core of its own,
 * where there are two to run on. Prints a line for each: a round trip's median and 99th percentile, in microseconds.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5000

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* The child shares what is not yet printed, so nobody flushes. */
static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

static void pin(int core)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(core, &only);
	must(sched_setaffinity(0, sizeof(only), &only) == 0, "sched_setaffinity");
}

/* A child on that core, which hands every byte back until there are no more; *to and *from are the ends of its pipes. */
static pid_t start_echo(int core, int *to, int *from)
{
	int there[2], back[2];
	pid_t child;
	char byte;

	must(pipe(there) == 0 && pipe(back) == 0, "pipe");
	child = fork();
	must(child >= 0, "fork");
	if (child == 0) {
		close(there[1]);
		close(back[0]);
		pin(core);
		while (read(there[0], &byte, 1) == 1)
			must(write(back[1], &byte, 1) == 1, "write");
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	*to = there[1];
	*from = back[0];
	return child;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_round_trips(int own_core, int other_core)
{
	static double taken_us[ROUNDS];
	int to, from, status;
	pid_t child = start_echo(other_core, &to, &from);
	char byte = 'x';

	pin(own_core);
	for (int i = 0; i < ROUNDS; i++) {
		double start_us = now_us();

		must(write(to, &byte, 1) == 1 && read(from, &byte, 1) == 1, "round trip");
		taken_us[i] = now_us() - start_us;
	}
	close(to);
	close(from);
	must(waitpid(child, &status, 0) == child && status == 0, "child");
	qsort(taken_us, ROUNDS, sizeof(*taken_us), ascending);
	printf("%.2f %.2f\n", taken_us[ROUNDS / 2], taken_us[ROUNDS * 99 / 100]);
}

int main(void)
{
	cpu_set_t allowed;
	int first = 0, last = CPU_SETSIZE - 1;

	must(sched_getaffinity(0, sizeof(allowed), &allowed) == 0, "sched_getaffinity");
	while (!CPU_ISSET(first, &allowed))
		first++;
	while (!CPU_ISSET(last, &allowed))
		last--;
	print_round_trips(first, first);
	if (last != first)
		print_round_trips(first, last);
	return 0;
}
