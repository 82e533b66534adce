#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "job.h"

#define HEADERS 40

static struct bus_delivery delivery_of(const struct bus_header *headers, size_t n)
{
	return (struct bus_delivery){
		.routing_key = "fixture.echo", .body = "{}", .body_len = 2, .headers = headers, .n_headers = n
	};
}

static void check_headers_kept(size_t text_len, size_t expected)
{
	char *text = must_zalloc(text_len + 1);
	struct bus_header headers[HEADERS];
	struct bus_delivery delivery = delivery_of(headers, HEADERS);
	struct job *job;

	memset(text, 'x', text_len);
	for (size_t i = 0; i < HEADERS; i++)
		headers[i] = (struct bus_header){ .name = "h", .text = text };
	job = job_new(&delivery, LANE_DURABLE, 1);
	CHECK_INT((int64_t)job->n_headers, (int64_t)expected);
	job_free(job);
	free(text);
}

static void a_copy_keeps_no_more_headers_than_fit_a_frame(void)
{
	check_headers_kept(10, HEADERS);
	check_headers_kept(16000, 4);
	check_headers_kept(100000, 0);
}

static int64_t expiration(const char *text)
{
	struct bus_delivery delivery = delivery_of(NULL, 0);
	struct job *job;
	int64_t ms;

	delivery.expiration = text;
	job = job_new(&delivery, LANE_RPC, 1);
	ms = job->message.expiration_ms;
	job_free(job);
	return ms;
}

static void an_expiration_is_a_time_or_none(void)
{
	CHECK_INT(expiration("250"), 250);
	CHECK_INT(expiration("4294967295"), 4294967295);
	CHECK_INT(expiration("4294967296"), 0);
	CHECK_INT(expiration("9223372036854775807"), 0);
	CHECK_INT(expiration("-5"), 0);
	CHECK_INT(expiration("soon"), 0);
}

static bool late_after(enum lane lane, int64_t waited_ms, int64_t expiration_ms, int64_t deadline_in_ms)
{
	struct bus_delivery delivery = delivery_of(NULL, 0);
	struct job *job = job_new(&delivery, lane, 1);
	bool late;

	job->message.received_us -= waited_ms * 1000;
	job->message.expiration_ms = expiration_ms;
	if (deadline_in_ms)
		job->message.deadline_real_ms = clock_real_us() / 1000 + deadline_in_ms;
	late = job_is_late(job);
	job_free(job);
	return late;
}

static void a_request_that_has_waited_for_most_of_its_time_is_late(void)
{
	CHECK(late_after(LANE_RPC, 800, 1000, 0));
	CHECK(!late_after(LANE_RPC, 500, 1000, 0));
	CHECK(late_after(LANE_RPC, 800, 0, 200));
	CHECK(!late_after(LANE_RPC, 500, 0, 500));
	CHECK(late_after(LANE_RPC, 800, 60000, 200));
	CHECK(!late_after(LANE_RPC, 5000, 0, 0));
	CHECK(!late_after(LANE_RPC, 1, 1, 0));
	CHECK(!late_after(LANE_DURABLE, 5000, 1000, 200));
}

static const struct check_test tests[] = {
	CHECK_TEST(a_copy_keeps_no_more_headers_than_fit_a_frame),
	CHECK_TEST(an_expiration_is_a_time_or_none),
	CHECK_TEST(a_request_that_has_waited_for_most_of_its_time_is_late),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
