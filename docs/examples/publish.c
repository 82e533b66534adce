/* Publish a command and wait for the broker's confirm: cc publish.c -lrabbitmq */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

int main(void)
{
	const char *address = getenv("AMQP_URL");
	char *url = strdup(address ? address : "amqp://guest:guest@127.0.0.1:5672/"); /* parsing writes into it */
	const char *body = "{\"player_id\":101}";
	struct amqp_connection_info to;
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
			  AMQP_BASIC_MESSAGE_ID_FLAG,
		.type = amqp_cstring_bytes("delete_auto_session"),
		.content_type = amqp_cstring_bytes("application/json"),
		.message_id = amqp_cstring_bytes("5b0f6f0e-3a5a-4f0e-9d3c-2f7a1f0c9b11"), /* new for each command */
		.delivery_mode = 2,
	};
	amqp_frame_t frame;

	must(amqp_parse_url(url, &to) == AMQP_STATUS_OK, "AMQP_URL");
	must(amqp_socket_open(amqp_tcp_socket_new(connection), to.host, to.port) == AMQP_STATUS_OK, "connect");
	must(amqp_login(
		     connection, *to.vhost ? to.vhost : "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, to.user, to.password)
				.reply_type == AMQP_RESPONSE_NORMAL,
		"login");
	must(amqp_channel_open(connection, 1) != NULL, "channel");
	must(amqp_confirm_select(connection, 1) != NULL, "confirms");
	must(amqp_basic_publish(connection, 1, amqp_cstring_bytes("game.commands"),
		     amqp_cstring_bytes("tick.delete_auto_session"), 1, 0, &properties,
		     amqp_cstring_bytes(body)) == AMQP_STATUS_OK,
		"publish");
	/* An unroutable message comes back (basic.return) before its ack: then this is not basic.ack. */
	must(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "read");
	must(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "confirm");
	puts("confirmed");
	amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(connection);
	free(url);
	return 0;
}
