#include "simulate.h"

#include "clock.h"
#include "duration.h"

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 30000L
#define ANSWER_MAX ((size_t)4 << 20)
/* Below what a gateway allows one address. */
#define CONNECTIONS_MAX 200L

/* clang-format off */
const struct sim_route sim_routes[SIM_CALLS] = {
	[CALL_REGISTER] = { "register", "POST", "/auth/register" },
	[CALL_LOGIN] = { "login", "POST", "/auth/login" },
	[CALL_CREATE] = { "create character", "POST", "/auth/characters" },
	[CALL_REFRESH] = { "refresh", "POST", "/auth/refresh" },
	[CALL_START] = { "start session", "POST", "/system/tick/auto-session/start" },
	[CALL_STATUS] = { "session status", "GET", "/system/tick/auto-session/status" },
	[CALL_DELETE] = { "end session", "DELETE", "/system/tick/auto-session/delete" },
	[CALL_JOIN] = { "join arena", "POST", "/arena/queue/join" },
	[CALL_CHECK] = { "check match", "POST", "/arena/match/check" },
	[CALL_CANCEL] = { "leave arena", "POST", "/arena/queue/cancel" },
	[CALL_QUEUE] = { "queue status", "GET", "/arena/queue/status" },
	[CALL_RESULT] = { "view result", "GET", "/combat/result" },
	[CALL_STALE] = { "stale button", "GET", "/combat/result" },
	[CALL_UNKNOWN] = { "unknown fight", "GET", "/combat/result" },
	[CALL_LAST] = { "last fight", "GET", "/combat/last" },
	[CALL_LOGOUT] = { "logout", "POST", "/auth/logout" },
};
/* clang-format on */

static size_t take_bytes(const char *bytes, size_t size, size_t n, void *context)
{
	struct player *player = context;

	if (player->answer.len + size * n > ANSWER_MAX)
		return 0;
	text_add(&player->answer, bytes, size * n);
	return size * n;
}

static CURL *new_easy(struct player *player)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		BUG("curl_easy_init failed");
	curl_easy_setopt(easy, CURLOPT_PRIVATE, player);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, player);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
	return easy;
}

static void add_header(struct player *player, const char *name, const char *value)
{
	CLEANUP(text_release) struct text header = { 0 };

	text_printf(&header, "%s: %s", name, value);
	player->headers = curl_slist_append(player->headers, text_str(&header));
}

static void set_headers(struct player *player, enum sim_call call)
{
	CLEANUP(text_release) struct text bearer = { 0 };

	curl_slist_free_all(player->headers);
	player->headers = NULL;
	add_header(player, "Content-Type", "application/json");
	add_header(player, "Expect", "");
	if (player->access_token && call != CALL_REGISTER && call != CALL_LOGIN && call != CALL_REFRESH) {
		text_printf(&bearer, "Bearer %s", player->access_token);
		add_header(player, "Authorization", text_str(&bearer));
	}
	if (call == CALL_CREATE)
		add_header(player, "Idempotency-Key", player->character_key);
	curl_easy_setopt(player->easy, CURLOPT_HTTPHEADER, player->headers);
}

/* What the URL says behind the path; of the fights, only these name one. */
static void set_url(const char *gateway, struct player *player, enum sim_call call)
{
	char session[UUID_TEXT_MAX], query[128] = "";
	struct uuid id = { { 0 } };

	if (call == CALL_UNKNOWN)
		for (size_t i = 0; i < sizeof(id.bytes); i++)
			id.bytes[i] = (unsigned char)chance(&player->chance);
	else if (player->asked)
		id = player->asked->session_id;
	if (call == CALL_RESULT || call == CALL_STALE || call == CALL_UNKNOWN)
		snprintf(query, sizeof(query), "?session_id=%s&lang=%s", uuid_format(&id, session),
			chance_of(&player->chance, 50) ? "en" : "ru");
	size_t len = strlen(gateway);

	snprintf(player->url, sizeof(player->url), "%.*s%s%s", (int)(len && gateway[len - 1] == '/' ? len - 1 : len),
		gateway, sim_routes[call].path, query);
	curl_easy_setopt(player->easy, CURLOPT_URL, player->url);
}

static void write_body(struct player *player, enum sim_call call)
{
	static const char *const categories[] = { "exploration", "crafting", "trade", "general" };
	struct text *out = &player->request;

	text_reset(out);
	json_open(out, '{');
	if (call == CALL_REGISTER || call == CALL_LOGIN) {
		json_key_string(out, "login", player->login);
		json_key_string(out, "password", player->password);
	} else if (call == CALL_CREATE) {
		json_key_string(out, "name", player->name);
		json_key_string(out, "gender", player->gender);
	} else if (call == CALL_REFRESH) {
		json_key_string(out, "refresh_token", player->refresh_token);
		json_key_int(out, "char_id", player->char_id);
	} else if (call == CALL_START) {
		json_key_string(out, "active_category", categories[chance(&player->chance) % ARRAY_LEN(categories)]);
	} else if (call == CALL_JOIN || call == CALL_CHECK || call == CALL_CANCEL) {
		json_key_string(out, "mode", player->mode);
	}
	json_close(out, '}');
}

static void set_method(struct player *player, enum sim_call call)
{
	const char *method = sim_routes[call].method;

	if (strcmp(method, "GET") == 0) {
		curl_easy_setopt(player->easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(player->easy, CURLOPT_CUSTOMREQUEST, NULL);
		return;
	}
	write_body(player, call);
	curl_easy_setopt(player->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(player->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(player->easy, CURLOPT_POSTFIELDS, player->request.bytes);
	curl_easy_setopt(player->easy, CURLOPT_POSTFIELDSIZE, (long)player->request.len);
}

void http_send(struct simulation *simulation, struct player *player, enum sim_call call)
{
	if (!player->easy)
		player->easy = new_easy(player);
	text_reset(&player->answer);
	set_headers(player, call);
	set_url(simulation->options->gateway, player, call);
	set_method(player, call);
	player->busy = true;
	player->call = call;
	player->sent_us = clock_us();
	simulation->n_busy++;
	simulation->n_passwords += call == CALL_REGISTER || call == CALL_LOGIN;
	curl_multi_setopt(simulation->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
	curl_multi_add_handle(simulation->multi, player->easy);
}

static void finish(struct simulation *simulation, CURL *easy, CURLcode outcome)
{
	struct player *player;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &player);
	if (outcome == CURLE_OK)
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(simulation->multi, easy);
	player->busy = false;
	simulation->n_busy--;
	simulation->n_passwords -= player->call == CALL_REGISTER || player->call == CALL_LOGIN;
	histogram_add(&simulation->stats.calls[player->call], clock_us() - player->sent_us);
	histogram_add(&simulation->stats.all, clock_us() - player->sent_us);
	player_take(simulation, player, status);
}

void http_work(struct simulation *simulation, int wait_ms)
{
	struct curl_waitfd broker = { .fd = bus_fd(simulation->engine.bus), .events = CURL_WAIT_POLLIN };
	CURLMsg *message;
	int running, left;

	curl_multi_perform(simulation->multi, &running);
	curl_multi_poll(simulation->multi, &broker, broker.fd >= 0, wait_ms, NULL);
	curl_multi_perform(simulation->multi, &running);
	while ((message = curl_multi_info_read(simulation->multi, &left)))
		if (message->msg == CURLMSG_DONE)
			finish(simulation, message->easy_handle, message->data.result);
}

static size_t drop_bytes(const char *bytes, size_t size, size_t n, void *context)
{
	(void)bytes, (void)context;
	return size * n;
}

int http_check(const char *gateway, struct error *err)
{
	CURL *easy = curl_easy_init();
	CLEANUP(text_release) struct text url = { 0 };
	long status = 0;

	if (!easy)
		BUG("curl_easy_init failed");
	text_printf(&url, "%s%shealthz", gateway, gateway[strlen(gateway) - 1] == '/' ? "" : "/");
	curl_easy_setopt(easy, CURLOPT_URL, text_str(&url));
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop_bytes);
	CURLcode outcome = curl_easy_perform(easy);

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(easy);
	if (outcome == CURLE_OK && status == 200)
		return 0;
	if (outcome == CURLE_OK)
		return error_set(err, CODE_UNAVAILABLE, "--gateway: %s answers %ld", text_str(&url), status);
	return error_set(err, CODE_UNAVAILABLE, "--gateway: %s: %s", text_str(&url), curl_easy_strerror(outcome));
}
