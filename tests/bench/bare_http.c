/*
 * What libmicrohttpd itself can do, as the ceiling of the gateway: bare_http PORT answers every request with the same small JSON, on
 * 127.0.0.1, until its standard input ends.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct MHD_Response *response;

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state)
{
	static int seen;

	(void)arg;
	(void)url;
	(void)method;
	(void)version;
	(void)upload;
	if (!*state || *upload_size) {
		*state = &seen;
		*upload_size = 0;
		return MHD_YES;
	}
	return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int main(int argc, char **argv)
{
	static char body[] = "{\"started\":true}";
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct MHD_Daemon *http;
	char byte;

	if (argc != 2)
		return 64;
	at.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	response = MHD_create_response_from_buffer(sizeof(body) - 1, body, MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(response, "Content-Type", "application/json");
	http = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR, &at,
		MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_END);
	if (!http) {
		fprintf(stderr, "bare_http: cannot listen on %s\n", argv[1]);
		return 1;
	}
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	MHD_stop_daemon(http);
	MHD_destroy_response(response);
	return 0;
}
