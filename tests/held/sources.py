"""C programs of the tests, and how they read their input."""

READERS = {
    "fgets": "char b[99]; while (fgets(b, 99, stdin)) fputs(b, stdout);",
    "getline": "char *b = 0; size_t n; while (getline(&b, &n, stdin) > 0) fputs(b, stdout);",
    "read": "char b[99]; long n; while ((n = read(0, b, 99)) > 0) write(1, b, n);",
    "readv": "char b[99]; struct iovec v = {b, 99}; long n;"
    "while ((n = readv(0, &v, 1)) > 0) write(1, b, n);",
    "recv": "char b[99]; long n; while ((n = recv(0, b, 99, 0)) > 0) write(1, b, n);",
    "poll": "char b[99]; long n = 1; struct pollfd p = {0, POLLIN, 0};"
    "while (n > 0) if (poll(&p, 1, -1) > 0 && (n = read(0, b, 99)) > 0) write(1, b, n);",
    "ppoll": "char b[99]; long n = 1; struct pollfd p = {0, POLLIN, 0};"
    "while (n > 0) if (ppoll(&p, 1, 0, 0) > 0 && (n = read(0, b, 99)) > 0) write(1, b, n);",
    "select": "char b[99]; long n = 1; while (n > 0) { fd_set s; FD_ZERO(&s); FD_SET(0, &s);"
    "if (select(1, &s, 0, 0, 0) > 0 && (n = read(0, b, 99)) > 0) write(1, b, n); }",
}
HEAD = """
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
/* True in a template, where there is no connection yet. To ask for a variable would be noticed. */
extern char **environ;
static inline int is_ahead(void) {
    for (char **e = environ; *e; e++) if (strncmp(*e, "REMOTE_PORT=", 12) == 0) return 0;
    return 1;
}
"""


def program(body: str, before: str = "") -> str:
    """Return the text of a program."""
    return f"{HEAD}{before}\nint main(int count, char **words) {{ {body} return 0; }}\n"


ECHO = READERS["fgets"]
