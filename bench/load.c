/* load: make connections, check every answer, time each one, print JSON.
 *
 *   load paced  ADDRESS -r PER_SECOND -n COUNT    one connection each 1/r second, whatever the server does
 *   load closed ADDRESS -c AT_ONCE -d SECONDS     c connections at any moment, for a time ...
 *   load closed ADDRESS -c AT_ONCE -n COUNT       ... or for a number
 *   load burst  ADDRESS -n COUNT                  all at the same moment
 *   load replay ADDRESS -f FILE                   at the moments of a file: nanoseconds since the begin, one a line
 *   load serve  ADDRESS                           the other side: one process that echoes, to weigh this program
 *
 * ADDRESS is 127.x.y.z:PORT, or the path of a UNIX socket. -t SECONDS limits a connection (10). -k keeps the
 * sending side open until the answer is there, for servers that lose the answer of a client that has said all.
 *
 * One connection: connect, send 64 bytes that name it, shut the sending side down, read up to end of file,
 * compare. The clock runs from before connect() to after the read() that returned 0.
 *
 * Two things keep the measuring side out of the measured times. Readiness is edge-triggered, so that a
 * connection costs one epoll_ctl. And the client's address walks through 127.0.0.1 to 127.0.0.32: it closes
 * first, so the TIME_WAIT states stay with it, and one address would run out of ports within seconds.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { PAYLOAD = 64, SOURCES = 32, EVENTS = 256, SWEEP_MS = 100 };
static const uint64_t SECOND = 1000000000;

enum outcome { ANSWERED, REFUSED, RESET, WRONG, TIMED_OUT, OTHER, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {
    "answered", "refused", "reset", "wrong", "timeout", "other"};

struct connection {
	int fd; /* -1: free */
	bool established;
	uint64_t begun, first_byte;
	size_t received;
	char payload[PAYLOAD + 1], reply[PAYLOAD];
};

static struct target target;
static int poller;
static uint64_t rate = 100, wanted = 0, window = 0, patience = 10;
static size_t at_once = 1;
static bool keep_open;

static struct connection *connections;
static size_t slots;
static uint64_t started, in_flight, outcomes[OUTCOMES];
static uint64_t *latencies, *first_bytes;
static size_t recorded, capacity;
static uint64_t *moments; /* NULL: a pace, or none */
static uint64_t begin, deadline, last_end, in_window;
static int last_errno;

static uint64_t now(void)
{
	struct timespec clock;
	clock_gettime(CLOCK_MONOTONIC, &clock);
	return (uint64_t)clock.tv_sec * SECOND + (uint64_t)clock.tv_nsec;
}

static enum outcome outcome_of(int error)
{
	last_errno = error;
	switch (error) {
	case ECONNREFUSED:
	case EAGAIN: /* connect() to a UNIX socket whose queue is full */
		return REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ETIMEDOUT:
		return TIMED_OUT;
	default:
		return OTHER;
	}
}

static void record(uint64_t latency, uint64_t first_byte)
{
	if (recorded == capacity) {
		capacity = capacity ? 2 * capacity : 4096;
		latencies = realloc(latencies, capacity * sizeof *latencies);
		first_bytes = realloc(first_bytes, capacity * sizeof *first_bytes);
		if (!latencies || !first_bytes)
			fail("realloc");
	}
	latencies[recorded] = latency;
	first_bytes[recorded++] = first_byte;
}

static void finish(struct connection *c, enum outcome outcome)
{
	last_end = now();
	if (outcome == ANSWERED) {
		record(last_end - c->begun, c->first_byte - c->begun);
		in_window += !deadline || last_end <= deadline;
	}
	outcomes[outcome]++;
	in_flight--;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void send_request(struct connection *c)
{
	c->established = true;
	/* a fresh socket takes 64 bytes whole */
	if (send(c->fd, c->payload, PAYLOAD, MSG_NOSIGNAL) != PAYLOAD ||
	    (!keep_open && shutdown(c->fd, SHUT_WR) < 0))
		finish(c, outcome_of(errno));
}

static void bind_source(int fd)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int on = 1;

	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(started % SOURCES));
	/* the port is chosen by connect(), which may take one in use towards another server */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(fd, &source, sizeof source) < 0)
		fail("bind the source address");
}

static void start(struct connection *c)
{
	struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = c}};

	c->established = false;
	c->received = 0;
	c->first_byte = 0;
	snprintf(c->payload, sizeof c->payload, "%063" PRIu64 "\n", started);
	in_flight++;
	c->begun = now();
	c->fd = socket(target.address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		fail("socket");
	if (target.address.any.sa_family == AF_INET)
		bind_source(c->fd);
	started++;
	if (connect(c->fd, &target.address.any, target.length) < 0 && errno != EINPROGRESS) {
		finish(c, outcome_of(errno));
		return;
	}
	if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
		fail("epoll_ctl");
}

static void receive(struct connection *c)
{
	char buffer[4096];

	for (;;) {
		ssize_t n = read(c->fd, buffer, sizeof buffer);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				finish(c, outcome_of(errno));
			return;
		}
		if (n == 0) {
			bool same = c->received == PAYLOAD && memcmp(c->reply, c->payload, PAYLOAD) == 0;
			finish(c, same ? ANSWERED : WRONG);
			return;
		}
		if (c->received == 0)
			c->first_byte = now();
		if (c->received + (size_t)n > PAYLOAD) {
			finish(c, WRONG);
			return;
		}
		memcpy(c->reply + c->received, buffer, (size_t)n);
		c->received += (size_t)n;
		if (keep_open && c->received == PAYLOAD)
			shutdown(c->fd, SHUT_WR);
	}
}

static void advance(struct connection *c, uint32_t events)
{
	if (!c->established) {
		int error = 0;
		socklen_t length = sizeof error;
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error)
			finish(c, outcome_of(error));
		else
			send_request(c);
	}
	if (c->fd >= 0 && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		receive(c);
}

static bool has_more(void)
{
	return wanted ? started < wanted : now() < deadline;
}

static void sweep_timed_out(void)
{
	static uint64_t swept;
	uint64_t t = now();

	if (t - swept < SWEEP_MS * (SECOND / 1000))
		return;
	swept = t;
	for (size_t i = 0; i < slots; i++)
		if (connections[i].fd >= 0 && t - connections[i].begun > patience * SECOND)
			finish(&connections[i], TIMED_OUT);
}

/* Keep `limit` connections under way: slots that have become free start the next one. */
static void refill(size_t limit)
{
	for (size_t i = 0; in_flight < limit && i < slots && has_more(); i++)
		if (connections[i].fd < 0)
			start(&connections[i]);
}

static int open_pace(void)
{
	uint64_t period = SECOND / rate;
	struct itimerspec pace;
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct epoll_event event = {EPOLLIN, {.ptr = NULL}};

	pace.it_interval.tv_sec = (time_t)(period / SECOND);
	pace.it_interval.tv_nsec = (long)(period % SECOND);
	pace.it_value = pace.it_interval;
	if (timer < 0 || timerfd_settime(timer, 0, &pace, NULL) < 0 ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event) < 0)
		fail("timer");
	return timer;
}

/* Read when each connection is to start; `wanted` is how many there are. */
static void read_moments(const char *path)
{
	uint64_t moment, room = 0;
	FILE *file = fopen(path, "r");

	if (!file)
		fail("open the file of moments");
	while (fscanf(file, "%" SCNu64, &moment) == 1) {
		if (wanted == room) {
			room = room ? 2 * room : 4096;
			moments = realloc(moments, room * sizeof *moments);
			if (!moments)
				fail("realloc");
		}
		moments[wanted++] = moment;
	}
	fclose(file);
}

static void wait_for_next_moment(int timer)
{
	struct itimerspec due = {{0, 0}, {0, 0}};
	uint64_t moment;

	if (started >= wanted)
		return;
	moment = begin + moments[started];
	due.it_value.tv_sec = (time_t)(moment / SECOND);
	due.it_value.tv_nsec = (long)(moment % SECOND);
	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &due, NULL) < 0)
		fail("timer");
}

static void start_due(uint64_t due, int timer)
{
	if (!moments) {
		while (due-- && has_more())
			start(&connections[started]);
		return;
	}
	while (has_more() && begin + moments[started] <= now())
		start(&connections[started]);
	wait_for_next_moment(timer);
}

/* Run until everything wanted was started and has ended; `timer` is -1 unless the pace starts connections. */
static void run(int timer, size_t keep)
{
	struct epoll_event events[EVENTS];

	begin = now();
	deadline = window ? begin + window : 0;
	if (moments)
		wait_for_next_moment(timer);
	do {
		if (timer < 0)
			refill(keep);
		int n = epoll_wait(poller, events, EVENTS, SWEEP_MS);
		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			uint64_t due = 0;
			if (c) {
				if (c->fd >= 0)
					advance(c, events[i].events);
			} else if (read(timer, &due, sizeof due) == sizeof due) {
				start_due(due, timer);
			}
		}
		sweep_timed_out();
	} while (in_flight || has_more());
}

static void print_array(const char *name, const uint64_t *values)
{
	printf(",\"%s\":[", name);
	for (size_t i = 0; i < recorded; i++)
		printf("%s%" PRIu64, i ? "," : "", values[i]);
	putchar(']');
}

static void report(void)
{
	struct rusage usage;
	uint64_t cpu_us;

	getrusage(RUSAGE_SELF, &usage);
	cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	printf("{\"started\":%" PRIu64 ",\"in_window\":%" PRIu64 ",\"elapsed_ns\":%" PRIu64
	       ",\"cpu_us\":%" PRIu64 ",\"last_error\":\"%s\",\"outcomes\":{",
	       started, in_window, window ? window : last_end - begin, cpu_us,
	       last_errno ? strerror(last_errno) : "");
	for (int i = 0; i < OUTCOMES; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", outcome_names[i], outcomes[i]);
	putchar('}');
	print_array("latencies_ns", latencies);
	print_array("first_bytes_ns", first_bytes);
	puts("}");
}

int main(int argc, char **argv)
{
	const char *mode;
	int option;

	if (argc < 3)
		usage("a mode and an address are needed");
	mode = argv[1];
	target = parse_target(argv[2]);
	optind = 3;
	while ((option = getopt(argc, argv, "kr:c:n:d:t:f:")) != -1) {
		switch (option) {
		case 'f': read_moments(optarg); break;
		case 'k': keep_open = true; break;
		case 'r': rate = strtoull(optarg, NULL, 10); break;
		case 'c': at_once = strtoull(optarg, NULL, 10); break;
		case 'n': wanted = strtoull(optarg, NULL, 10); break;
		case 'd': window = (uint64_t)(strtod(optarg, NULL) * (double)SECOND); break;
		case 't': patience = strtoull(optarg, NULL, 10); break;
		default: usage("unknown option");
		}
	}
	if (strcmp(mode, "serve") == 0)
		serve(&target);
	if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0)
		fail("epoll_create1");
	bool replay = strcmp(mode, "replay") == 0, paced = replay || strcmp(mode, "paced") == 0, burst = strcmp(mode, "burst") == 0;
	if (replay != (moments != NULL))
		usage("replay, and nothing else, is with a file of moments");
	if (!paced && !burst && strcmp(mode, "closed") != 0)
		usage("unknown mode");
	if (!wanted == !window || !rate || !at_once || ((paced || burst) && !wanted))
		usage("a mode needs its numbers, and either -n or -d");
	slots = paced || burst ? wanted : at_once;
	connections = calloc(slots, sizeof *connections);
	if (!connections)
		fail("calloc");
	for (size_t i = 0; i < slots; i++)
		connections[i].fd = -1;
	run(paced ? open_pace() : -1, slots);
	report();
}
