/* echo: the other side of the load program, one process that answers everything itself.
 *
 * It does the least a server can do, so what is measured against it is the cost of measuring.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 256 };

_Noreturn void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

_Noreturn void usage(const char *why)
{
	fprintf(stderr, "load: %s\nusage: load paced|closed|burst|serve ADDRESS "
	                "[-k] [-r rate] [-c at-once] [-n count] [-d seconds] [-t seconds]\n", why);
	exit(2);
}

struct target parse_target(const char *text)
{
	struct target target = {0};
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');

	if (strchr(text, '/')) {
		target.address.local.sun_family = AF_UNIX;
		if (strlen(text) >= sizeof target.address.local.sun_path)
			usage("the path is too long for a UNIX socket");
		strcpy(target.address.local.sun_path, text);
		target.length = sizeof target.address.local;
		return target;
	}
	if (!colon || (size_t)(colon - text) >= sizeof host)
		usage("an address is 127.x.y.z:PORT or a path");
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = 0;
	target.address.inet.sin_family = AF_INET;
	target.address.inet.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &target.address.inet.sin_addr) != 1 || strncmp(host, "127.", 4) != 0)
		usage("only loopback addresses are loaded");
	target.length = sizeof target.address.inet;
	return target;
}

_Noreturn void serve(const struct target *target)
{
	struct epoll_event events[EVENTS], event = {EPOLLIN, {.fd = -1}};
	char buffer[4096];
	int on = 1, poller = epoll_create1(EPOLL_CLOEXEC);
	int listener = socket(target->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (poller < 0 || bind(listener, &target->address.any, target->length) < 0 ||
	    listen(listener, BACKLOG) < 0)
		fail("listen");
	epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(poller, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd < 0) {
				while ((event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
					epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
				continue;
			}
			ssize_t size = read(fd, buffer, sizeof buffer);
			if (size <= 0 || send(fd, buffer, (size_t)size, MSG_NOSIGNAL) != size)
				close(fd);
		}
	}
}
