#include "password.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "auth_settings.h"
#include "cleanup.h"
#include "clock.h"
#include "service.h"

#define OPSLIMIT crypto_pwhash_OPSLIMIT_INTERACTIVE
#define MEMLIMIT crypto_pwhash_MEMLIMIT_INTERACTIVE
#define STACK_SIZE ((size_t)256 << 10)
#define NICENESS 5
#define HASH_LEN 32

/* What an unknown login's password is compared with: of the same effort as a real one. */
static const char nobodys_hash[] = "$argon2id$v=19$m=65536,t=2,p=1$R2Fycmlzb24gbm9ib2R5IQ$"
				   "VGhpcyBpcyB0aGUgaGFzaCBvZiBubyBwYXNzd29yZCE";

enum progress { QUEUED, RUNNING, FINISHED };

/* On the waiting thread's stack. */
struct hashing {
	struct hashing *next;
	const char *password;
	const char *compare; /* the hash to compare with, or NULL to make one */
	char *made;
	enum progress progress;
	bool right;
	int problem; /* errno, 0 for none */
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t work, finished;
	bool started;
	struct hashing *head, **tail;
	int64_t places;
} pool = { .mutex = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER };

/* ---- places ---- */

/* Two handler threads are kept for commands that do not hash: those are quick, or taken in batches. */
static int64_t places_max(void)
{
	int64_t threads = common_settings.max_concurrent_tasks;

	return threads > 2 ? threads - 2 : 1;
}

int password_enter(struct password_place *place, struct error *err)
{
	pthread_mutex_lock(&pool.mutex);
	place->held = pool.places < places_max();
	pool.places += place->held;
	pthread_mutex_unlock(&pool.mutex);
	return place->held ? 0 : error_set(err, CODE_RATE_LIMITED, "too many passwords are being checked; try again");
}

void password_leave(struct password_place *place)
{
	pthread_mutex_lock(&pool.mutex);
	pool.places -= place->held;
	pthread_mutex_unlock(&pool.mutex);
	place->held = false;
}

/* ---- the threads ---- */

static bool has_memory(unsigned kib)
{
	size_t size = (size_t)(kib ? kib : 1) * 1024;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	munmap(memory, size);
	return true;
}

/* What libsodium's own hashes are made of: one lane, 16 bytes of salt, 32 of output. */
struct parts {
	unsigned m_kib, t;
	unsigned char salt[crypto_pwhash_SALTBYTES];
	unsigned char hash[HASH_LEN];
};

static bool read_bytes(const char *text, unsigned char *out, size_t wanted)
{
	size_t len;

	return sodium_base642bin(out, wanted, text, strlen(text), NULL, &len, NULL,
		       sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
	       len == wanted;
}

static bool read_parts(const char *text, struct parts *parts)
{
	char salt[23], hash[44];
	int end = -1;

	sscanf(text, "$argon2id$v=19$m=%u,t=%u,p=1$%22[A-Za-z0-9+/]$%43[A-Za-z0-9+/]%n", &parts->m_kib, &parts->t, salt,
		hash, &end);
	return end > 0 && !text[end] && read_bytes(salt, parts->salt, sizeof(parts->salt)) &&
	       read_bytes(hash, parts->hash, sizeof(parts->hash));
}

/*
 * crypto_pwhash_str_verify says the same of another password and of want of memory; so the hash is made anew, which fails for want of
 * memory only, and compared here.
 */
static void compare_parts(struct hashing *it, const struct parts *parts)
{
	unsigned char made[HASH_LEN];

	errno = 0;
	if (crypto_pwhash(made, sizeof(made), it->password, strlen(it->password), parts->salt, parts->t,
		    (size_t)parts->m_kib * 1024, crypto_pwhash_ALG_ARGON2ID13))
		it->problem = errno ? errno : ENOMEM;
	else
		it->right = sodium_memcmp(made, parts->hash, sizeof(made)) == 0;
	sodium_memzero(made, sizeof(made));
}

/* A hash of another maker, with more lanes for one: what is not right is only wrong if there was memory before and after. */
static void compare_foreign(struct hashing *it)
{
	unsigned m_kib = 0;
	bool had_memory;

	sscanf(it->compare, "$argon2id$v=%*u$m=%u", &m_kib);
	had_memory = has_memory(m_kib);
	it->right = crypto_pwhash_str_verify(it->compare, it->password, strlen(it->password)) == 0;
	if (!it->right && !(had_memory && has_memory(m_kib)))
		it->problem = ENOMEM;
}

static void compare(struct hashing *it)
{
	struct parts parts;

	if (read_parts(it->compare, &parts))
		compare_parts(it, &parts);
	else
		compare_foreign(it);
}

static void make(struct hashing *it)
{
	errno = 0;
	if (crypto_pwhash_str(it->made, it->password, strlen(it->password), OPSLIMIT, MEMLIMIT))
		it->problem = errno ? errno : ENOMEM;
}

static void *hash_main(void *arg)
{
	/* Of this thread alone, as Linux has it; where that is not allowed, it competes as an equal. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
	pthread_mutex_lock(&pool.mutex);
	for (;;) {
		struct hashing *it = pool.head;

		if (!it) {
			pthread_cond_wait(&pool.work, &pool.mutex);
			continue;
		}
		pool.head = it->next;
		if (!pool.head)
			pool.tail = &pool.head;
		it->progress = RUNNING;
		pthread_mutex_unlock(&pool.mutex);
		if (it->compare)
			compare(it);
		else
			make(it);
		pthread_mutex_lock(&pool.mutex);
		it->progress = FINISHED;
		pthread_cond_broadcast(&pool.finished);
	}
	return arg;
}

void password_start(void)
{
	pthread_condattr_t monotonic;
	pthread_attr_t attributes;
	pthread_t thread;

	if (pool.started)
		return;
	pool.started = true;
	pool.tail = &pool.head;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool.finished, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (int64_t i = 0; i < auth_settings.hash_threads; i++)
		if (pthread_create(&thread, &attributes, hash_main, NULL))
			BUG("cannot start a thread");
	pthread_attr_destroy(&attributes);
}

/* ---- waiting ---- */

static void unqueue(struct hashing *it)
{
	struct hashing **link = &pool.head;

	while (*link != it)
		link = &(*link)->next;
	*link = it->next;
	if (!*link)
		pool.tail = link;
}

/* Once it runs it is waited for to its end, for it uses the caller's memory. */
static int run(struct hashing *it, int64_t deadline_ms, struct error *err)
{
	struct timespec until = { .tv_sec = deadline_ms / 1000, .tv_nsec = (deadline_ms % 1000) * 1000000 };

	pthread_mutex_lock(&pool.mutex);
	*pool.tail = it;
	pool.tail = &it->next;
	pthread_cond_signal(&pool.work);
	while (it->progress == QUEUED && clock_ms() < deadline_ms)
		pthread_cond_timedwait(&pool.finished, &pool.mutex, &until);
	while (it->progress == RUNNING)
		pthread_cond_wait(&pool.finished, &pool.mutex);
	if (it->progress == QUEUED)
		unqueue(it);
	pthread_mutex_unlock(&pool.mutex);
	if (it->progress == QUEUED)
		return error_set(err, CODE_RATE_LIMITED, "too many passwords are being checked; try again");
	if (it->problem)
		return error_set(
			err, CODE_UNAVAILABLE, "no memory to hash a password: %s", strerrordesc_np(it->problem));
	return 0;
}

int password_hash(const char *password, int64_t deadline_ms, char hash[static PASSWORD_HASH_MAX], struct error *err)
{
	struct hashing it = { .password = password, .made = hash };

	return run(&it, deadline_ms, err);
}

int password_check(const char *password, const char *hash, int64_t deadline_ms, bool *right, struct error *err)
{
	struct hashing it = { .password = password, .compare = hash ? hash : nobodys_hash };

	if (run(&it, deadline_ms, err))
		return -1;
	*right = hash && it.right;
	return 0;
}

bool password_is_dated(const char *hash)
{
	return crypto_pwhash_str_needs_rehash(hash, OPSLIMIT, MEMLIMIT) == 1;
}
