/* What the two sides of the load program share: where the connections go, and how to give up. */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in inet;
	struct sockaddr_un local;
};

struct target {
	union address address;
	socklen_t length;
};

/* Read 127.x.y.z:PORT or a path; anything else ends the program: only this machine is loaded. */
struct target parse_target(const char *text);

/* Accept and echo in this one process, for ever. */
_Noreturn void serve(const struct target *target);

_Noreturn void fail(const char *what);
_Noreturn void usage(const char *why);

#endif
