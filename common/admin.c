#include "admin.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "listen_address.h"

#define CONNECTIONS_MAX 16
#define IDLE_LIMIT_S 10
#define CONNECTION_BYTES (16u << 10)

static struct MHD_Daemon *admin_daemon;

struct page {
	const char *path;
	const char *content_type;
	unsigned (*write)(const struct admin_source *source, struct text *out);
};

static unsigned write_health(const struct admin_source *source, struct text *out)
{
	return source->healthy(out) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned write_ready(const struct admin_source *source, struct text *out)
{
	return source->ready(out) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned write_metrics(const struct admin_source *source, struct text *out)
{
	source->metrics(out);
	return MHD_HTTP_OK;
}

static const struct page pages[] = {
	{ "/healthz", "text/plain; charset=utf-8", write_health },
	{ "/readyz", "text/plain; charset=utf-8", write_ready },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics },
};

static enum MHD_Result answer(
	struct MHD_Connection *connection, unsigned status, const char *content_type, const struct text *body)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(body->len, body->bytes, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result queued;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	queued = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state)
{
	const struct admin_source *source = arg;
	CLEANUP(text_release) struct text body = { 0 };

	(void)version;
	(void)upload;
	(void)upload_size;
	(void)state;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		text_str_add(&body, "only GET\n");
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, pages[0].content_type, &body);
	}
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		unsigned status;

		if (strcmp(url, pages[i].path) != 0)
			continue;
		status = pages[i].write(source, &body);
		text_char(&body, '\n');
		return answer(connection, status, pages[i].content_type, &body);
	}
	text_str_add(&body, "/metrics, /healthz and /readyz are here\n");
	return answer(connection, MHD_HTTP_NOT_FOUND, pages[0].content_type, &body);
}

int admin_start(const char *address, const struct admin_source *source, struct error *err)
{
	struct error why;
	struct addrinfo *found;

	if (listen_address(address, &found, &why))
		return error_set(err, CODE_INVALID_PAYLOAD, "ADMIN_ADDR: %s", why.text);
	admin_daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | (found->ai_family == AF_INET6 ? MHD_USE_IPv6 : MHD_NO_FLAG), 0, NULL,
		NULL, handle, (void *)(uintptr_t)source, MHD_OPTION_SOCK_ADDR, found->ai_addr,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_LIMIT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
	freeaddrinfo(found);
	if (!admin_daemon)
		return error_set(err, CODE_INVALID_PAYLOAD, "ADMIN_ADDR: cannot listen on \"%s\"", address);
	return 0;
}

void admin_stop(void)
{
	if (admin_daemon)
		MHD_stop_daemon(TAKE(admin_daemon));
}
