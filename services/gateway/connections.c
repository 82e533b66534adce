#include "connections.h"

#include <pthread.h>
#include <stdlib.h>

#include "cleanup.h"
#include "gateway_metrics.h"

static struct {
	pthread_mutex_t mutex;
	struct connection *head;
} open_ones = { .mutex = PTHREAD_MUTEX_INITIALIZER };

struct connection *connection_open(int fd, const struct address *peer, int64_t deadline_ms)
{
	struct connection *connection = must_zalloc(sizeof(*connection));

	connection->fd = fd;
	connection->peer = *peer;
	connection->deadline_ms = deadline_ms;
	pthread_mutex_lock(&open_ones.mutex);
	connection->next = open_ones.head;
	connection->link = &open_ones.head;
	if (connection->next)
		connection->next->link = &connection->next;
	open_ones.head = connection;
	pthread_mutex_unlock(&open_ones.mutex);
	metric_add(&gateway_metrics[CONNECTIONS_OPEN], 1);
	metric_add(&gateway_metrics[CONNECTIONS_ACCEPTED], 1);
	return connection;
}

void connection_close(struct connection *connection)
{
	pthread_mutex_lock(&open_ones.mutex);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	pthread_mutex_unlock(&open_ones.mutex);
	metric_add(&gateway_metrics[CONNECTIONS_OPEN], -1);
	free(connection);
}

size_t connections_of(const struct address *address)
{
	size_t n = 0;

	pthread_mutex_lock(&open_ones.mutex);
	for (const struct connection *connection = open_ones.head; connection; connection = connection->next)
		n += address_equal(&connection->peer, address);
	pthread_mutex_unlock(&open_ones.mutex);
	return n;
}

void connections_sweep(int64_t now_ms)
{
	/* With the mutex held no descriptor of the list can be closed and given to somebody else. */
	pthread_mutex_lock(&open_ones.mutex);
	for (struct connection *connection = open_ones.head; connection; connection = connection->next) {
		if (atomic_load(&connection->deadline_ms) > now_ms)
			continue;
		metric_add(&gateway_metrics[CONNECTIONS_CUT], 1);
		atomic_store(&connection->deadline_ms, CONNECTION_PATIENT);
		shutdown(connection->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&open_ones.mutex);
}
