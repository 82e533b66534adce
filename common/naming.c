#include "naming.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "settings.h"

static char *format_name(char *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static char *format_name(char *buffer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int len = vsnprintf(buffer, BROKER_NAME_MAX, format, args);
	va_end(args);
	if (len < 0 || len >= BROKER_NAME_MAX)
		BUG("a name in the broker is longer than AMQP allows: %s…", buffer);
	return buffer;
}

/* A minute is "60s" here, as the default rungs are spelled; any other delay goes by its largest whole unit. */
static char *format_delay(int64_t delay_ms, char buffer[static 24])
{
	if (delay_ms == 60 * 1000) {
		snprintf(buffer, 24, "60s");
		return buffer;
	}
	return duration_format(delay_ms, buffer);
}

char *name_queue(const char *service, char buffer[static BROKER_NAME_MAX])
{
	return format_name(buffer, "game.%s", service);
}

char *name_rpc_queue(const char *service, char buffer[static BROKER_NAME_MAX])
{
	return format_name(buffer, "game.%s.rpc", service);
}

char *name_dead_queue(const char *service, char buffer[static BROKER_NAME_MAX])
{
	return format_name(buffer, "game.%s.dead", service);
}

char *name_rung_queue(const char *service, int64_t delay_ms, char buffer[static BROKER_NAME_MAX])
{
	char delay[24];

	return format_name(buffer, "game.%s.retry.%s", service, format_delay(delay_ms, delay));
}

char *name_rung_exchange(int64_t delay_ms, char buffer[static BROKER_NAME_MAX])
{
	char delay[24];

	return format_name(buffer, "game.retry.%s", format_delay(delay_ms, delay));
}

char *name_binding(const char *service, char buffer[static BROKER_NAME_MAX])
{
	return format_name(buffer, "%s.#", service);
}

char *name_routing_key(const char *service, const char *command, char buffer[static BROKER_NAME_MAX])
{
	return format_name(buffer, "%s.%s", service, command);
}

const char *name_command_of(const char *routing_key)
{
	const char *dot = strrchr(routing_key, '.');

	return dot ? dot + 1 : routing_key;
}

bool name_takes_replies(const char *reply_to)
{
	static const char direct[] = "amq.rabbitmq.reply-to";
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *process = reply_to + sizeof(direct);
	size_t len;

	if (strncmp(reply_to, direct, sizeof(direct) - 1) != 0)
		return *reply_to != '\0';
	if (reply_to[sizeof(direct) - 1] != '.')
		return false;
	/* A process in Erlang's external format, in base64: it begins with 131 88 or 131 103. Then a key. */
	if (strncmp(process, "g1h", 3) != 0 && strncmp(process, "g2d", 3) != 0)
		return false;
	len = strspn(process, base64);
	len += strspn(process + len, "=");
	return len % 4 == 0 && process[len] == '.' && process[len + 1] != '\0';
}
