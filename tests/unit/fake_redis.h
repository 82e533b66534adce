/* A server on loopback that answers whatever it is sent by the same bytes. */
#ifndef GARRISON_FAKE_REDIS_H
#define GARRISON_FAKE_REDIS_H

struct fake_redis;

/* Starts a thread that serves one connection after another; "" answers nothing. answer must outlive it. */
struct fake_redis *fake_redis_start(const char *answer);
/* For CLEANUP(): ends the thread and frees. */
void fake_redis_stop(struct fake_redis **fake);
const char *fake_redis_port(const struct fake_redis *fake);
/* The format's %s replaced by the port, in memory that the caller frees. */
char *fake_redis_url(const struct fake_redis *fake, const char *format);

#endif
