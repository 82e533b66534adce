#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "worker_internal.h"

#define SLEEPERS 3
#define FOR_EVER_MS 20000
/* Well beyond what a batch rests for. */
#define RESTED_MS 20
#define CROWD_JOBS 20000

static void handle_none(struct batch *batch)
{
	(void)batch;
}

static const struct command commands[] = {
	{ .name = "many", .handle_batch = handle_none, .batch_max = 4 },
	{ .name = "one" },
	{ .name = "in_turn", .handle_batch = handle_none, .batch_max = 4, .running_max = 1 },
};
enum { MANY, ONE, IN_TURN };
static const struct service service = { .name = "fixture", .commands = commands, .n_commands = ARRAY_LEN(commands) };

static struct workers workers;

static void set_up(void)
{
	workers = (struct workers){ .service = &service };
	queues_init(&workers);
	pthread_mutex_init(&workers.mutex, NULL);
}

static void add(int command, int n)
{
	for (int i = 0; i < n; i++) {
		struct job *job = must_zalloc(sizeof(*job));

		job->command = &commands[command];
		job->message.received_us = clock_us();
		workers_add(&workers, job);
	}
}

static void free_jobs(struct job *list)
{
	while (list) {
		struct job *job = list;

		list = job->next;
		free(job);
	}
}

static void tear_down(void)
{
	free_jobs(workers_take_back(&workers));
	pthread_mutex_destroy(&workers.mutex);
	free(workers.queues);
}

/* How many the next batch is of, which then runs; 0: none may begin. */
static size_t begin(void)
{
	struct job_queue *queue = queue_next_ready(&workers);
	size_t n = 0;

	if (queue)
		free_jobs(queue_take_jobs(&workers, queue, &n));
	return n;
}

static void end(int command)
{
	workers.queues[command].running--;
}

/* The same, and has run. */
static size_t take(void)
{
	struct job_queue *queue = queue_next_ready(&workers);
	size_t n = begin();

	if (queue)
		queue->running--;
	return n;
}

static void a_batch_takes_what_is_there_and_no_more_than_its_most(void)
{
	set_up();
	add(MANY, 6);
	CHECK_INT(take(), 4);
	clock_sleep_ms(RESTED_MS);
	CHECK_INT(take(), 2);
	CHECK_INT(take(), 0);
	tear_down();
}

static void who_comes_alone_does_not_wait(void)
{
	set_up();
	for (int i = 0; i < 10; i++) {
		add(MANY, 1);
		CHECK_INT(take(), 1);
	}
	add(ONE, 2);
	CHECK_INT(take(), 1);
	CHECK_INT(take(), 1);
	tear_down();
}

/* As if it would rest for ever: a slow machine does not run out of time here. */
static void rest_long(int command)
{
	workers.queues[command].rests_until_us = INT64_MAX;
}

static void after_several_the_next_are_waited_for(void)
{
	struct job_queue *queue;
	int64_t began_us;

	set_up();
	queue = &workers.queues[MANY];
	add(MANY, 3);
	began_us = clock_us();
	CHECK_INT(take(), 3);
	CHECK(queue->rests_until_us >= began_us + 2000 && queue->rests_until_us <= clock_us() + 2000);
	rest_long(MANY);
	add(MANY, 1);
	CHECK_INT(take(), 0);
	queue->rests_until_us = clock_us();
	CHECK_INT(take(), 1);
	tear_down();
}

static void a_whole_batch_begins_at_once(void)
{
	set_up();
	add(MANY, 4);
	CHECK_INT(take(), 4);
	rest_long(MANY);
	add(MANY, 3);
	CHECK_INT(take(), 0);
	add(MANY, 1);
	CHECK_INT(take(), 4);
	tear_down();
}

static void one_command_rests_alone(void)
{
	set_up();
	add(MANY, 3);
	CHECK_INT(take(), 3);
	rest_long(MANY);
	add(MANY, 1);
	add(ONE, 1);
	CHECK_INT(take(), 1);
	CHECK_INT(workers.queues[MANY].n, 1);
	tear_down();
}

static void no_more_run_than_may(void)
{
	set_up();
	add(IN_TURN, 10);
	CHECK_INT(begin(), 4);
	CHECK_INT(begin(), 0);
	end(IN_TURN);
	CHECK_INT(begin(), 4);
	tear_down();
}

static void a_second_batch_runs_beside_only_when_it_is_whole(void)
{
	set_up();
	add(MANY, 1);
	CHECK_INT(begin(), 1);
	add(MANY, 3);
	CHECK_INT(begin(), 0);
	add(MANY, 1);
	CHECK_INT(begin(), 4);
	add(MANY, 1);
	CHECK_INT(begin(), 0);
	end(MANY);
	CHECK_INT(begin(), 0);
	end(MANY);
	workers.queues[MANY].rests_until_us = 0;
	CHECK_INT(begin(), 1);
	add(ONE, 2);
	CHECK_INT(begin(), 1);
	CHECK_INT(begin(), 1);
	tear_down();
}

/* ---- threads ---- */

struct sleeper {
	struct thread thread;
	pthread_t handle;
	bool woken;
};

static void *sleep_once(void *arg)
{
	struct sleeper *sleeper = arg;

	pthread_mutex_lock(&workers.mutex);
	thread_sleep(&sleeper->thread);
	sleeper->woken = true;
	pthread_mutex_unlock(&workers.mutex);
	return NULL;
}

static bool is_idle(const struct sleeper *sleeper)
{
	bool idle;

	pthread_mutex_lock(&workers.mutex);
	idle = sleeper->thread.idle;
	pthread_mutex_unlock(&workers.mutex);
	return idle;
}

static void start_sleeper(struct sleeper *sleeper)
{
	int64_t began_ms = clock_ms();

	*sleeper = (struct sleeper){ .thread.workers = &workers };
	condition_init(&sleeper->thread.work);
	CHECK_INT(pthread_create(&sleeper->handle, NULL, sleep_once, sleeper), 0);
	while (!is_idle(sleeper) && clock_ms() - began_ms < FOR_EVER_MS)
		clock_sleep_ms(1);
	CHECK(is_idle(sleeper));
}

static void join_sleeper(struct sleeper *sleeper)
{
	pthread_join(sleeper->handle, NULL);
	pthread_cond_destroy(&sleeper->thread.work);
	CHECK(sleeper->woken);
}

static void the_last_asleep_is_woken_first_and_one_at_a_time(void)
{
	struct sleeper sleepers[SLEEPERS];

	set_up();
	for (int i = 0; i < SLEEPERS; i++)
		start_sleeper(&sleepers[i]);
	pthread_mutex_lock(&workers.mutex);
	workers_wake(&workers);
	workers_wake(&workers);
	CHECK(!sleepers[2].thread.idle);
	CHECK(sleepers[1].thread.idle && sleepers[0].thread.idle);
	pthread_mutex_unlock(&workers.mutex);
	join_sleeper(&sleepers[2]);
	add(ONE, 1);
	join_sleeper(&sleepers[1]);
	pthread_mutex_lock(&workers.mutex);
	workers_wake_all(&workers);
	pthread_mutex_unlock(&workers.mutex);
	join_sleeper(&sleepers[0]);
	tear_down();
}

/* However long the others sleep: one thread has an eye on what rests. */
static void what_rests_is_not_forgotten(void)
{
	struct sleeper sleepers[SLEEPERS];

	set_up();
	for (int i = 0; i < SLEEPERS - 1; i++)
		start_sleeper(&sleepers[i]);
	add(MANY, 2);
	join_sleeper(&sleepers[1]);
	CHECK_INT(take(), 2);
	add(MANY, 1); /* somebody comes for it, though it rests */
	join_sleeper(&sleepers[0]);
	start_sleeper(&sleepers[2]); /* and would sleep until it has rested, or finds it so at once */
	join_sleeper(&sleepers[2]);
	CHECK_INT(take(), 1);
	tear_down();
}

/* Behind a batch that takes long, with nobody coming after him. */
static void who_waits_long_is_run_beside(void)
{
	struct sleeper sleeper;

	set_up();
	add(MANY, 1);
	CHECK_INT(begin(), 1);
	start_sleeper(&sleeper);
	add(MANY, 1);
	workers.queues[MANY].head->message.received_us = INT64_MAX; /* just now, however slow this machine is */
	workers_look_again(&workers);
	CHECK(is_idle(&sleeper));
	CHECK_INT(begin(), 0);
	workers.queues[MANY].head->message.received_us = clock_us() - 20000;
	workers_look_again(&workers);
	join_sleeper(&sleeper);
	CHECK_INT(begin(), 1);
	tear_down();
}

struct pool_thread {
	struct thread thread;
	pthread_t handle;
	size_t done;
};

static void *work(void *arg)
{
	struct pool_thread *self = arg;

	pthread_mutex_lock(&workers.mutex);
	while (!workers.stopping) {
		struct job_queue *queue = queue_next_ready(&workers);
		size_t n = 0;

		if (!queue) {
			thread_sleep(&self->thread);
			continue;
		}
		free_jobs(queue_take_jobs(&workers, queue, &n));
		pthread_mutex_unlock(&workers.mutex);
		pthread_mutex_lock(&workers.mutex);
		queue->running--;
		self->done += n;
	}
	pthread_mutex_unlock(&workers.mutex);
	return NULL;
}

static size_t done_by_all(const struct pool_thread *threads)
{
	size_t done = 0;

	pthread_mutex_lock(&workers.mutex);
	for (int i = 0; i < SLEEPERS; i++)
		done += threads[i].done;
	pthread_mutex_unlock(&workers.mutex);
	return done;
}

/* Nobody sleeps over a job, at any pace of jobs and threads. */
static void every_job_is_taken(void)
{
	struct pool_thread threads[SLEEPERS] = { 0 };
	int64_t began_ms = clock_ms();
	int added = 0;

	set_up();
	for (int i = 0; i < SLEEPERS; i++) {
		threads[i].thread.workers = &workers;
		condition_init(&threads[i].thread.work);
		CHECK_INT(pthread_create(&threads[i].handle, NULL, work, &threads[i]), 0);
	}
	while (added < CROWD_JOBS) {
		int n = 1 + added % 7;

		add(added % 3, n);
		added += n;
		/* Now and then all have gone to sleep before the next comes. */
		for (int64_t until_ms = clock_ms() + FOR_EVER_MS;
			added % 11 == 0 && done_by_all(threads) < (size_t)added && clock_ms() < until_ms;)
			continue;
	}
	while (done_by_all(threads) < (size_t)added && clock_ms() - began_ms < FOR_EVER_MS)
		clock_sleep_ms(1);
	CHECK_INT(done_by_all(threads), added);
	pthread_mutex_lock(&workers.mutex);
	workers.stopping = true;
	workers_wake_all(&workers);
	pthread_mutex_unlock(&workers.mutex);
	for (int i = 0; i < SLEEPERS; i++) {
		pthread_join(threads[i].handle, NULL);
		pthread_cond_destroy(&threads[i].thread.work);
	}
	tear_down();
}

static const struct check_test tests[] = {
	CHECK_TEST(a_batch_takes_what_is_there_and_no_more_than_its_most),
	CHECK_TEST(who_comes_alone_does_not_wait),
	CHECK_TEST(after_several_the_next_are_waited_for),
	CHECK_TEST(a_whole_batch_begins_at_once),
	CHECK_TEST(one_command_rests_alone),
	CHECK_TEST(no_more_run_than_may),
	CHECK_TEST(a_second_batch_runs_beside_only_when_it_is_whole),
	CHECK_TEST(the_last_asleep_is_woken_first_and_one_at_a_time),
	CHECK_TEST(what_rests_is_not_forgotten),
	CHECK_TEST(who_waits_long_is_run_beside),
	CHECK_TEST(every_job_is_taken),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
