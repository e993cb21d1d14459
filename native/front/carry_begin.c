/*
 * How a carriage begins, and comes to whoever goes on with it.
 *
 * Most programs get all that they need here, and nobody stays behind them: so a small body that is
 * there already is taken before anything else.
 */
#include "carry.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MOST_READY = 64 * 1024, /* a pipe holds so much */
    READY_MS = 1,           /* between the pieces of a body that is on its way */
};

static bool is_socket(int fd)
{
    int type;
    socklen_t size = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

static bool is_connection(int input, int output)
{
    struct stat one, other;

    return is_socket(input) && fstat(input, &one) == 0 && fstat(output, &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

void carry_leave_alone(struct carriage *carriage, int connection)
{
    const struct flow none = {.source = -1, .sink = -1};

    *carriage = (struct carriage){
        .connection = connection, .input = none, .output = none, .waiting = none, .room = -1};
}

/*
 * Put a small body into the pipe, as far as it is there or about to be. In one piece: nobody reads yet,
 * and a pipe has room for so many pages, not bytes. Two pieces that end within a page take one more.
 */
static bool take_ready(struct carriage *carriage)
{
    static char body[MOST_READY];
    struct pollfd readable = {.fd = carriage->connection, .events = POLLIN};
    size_t size = 0;

    if (carriage->body_left > MOST_READY ||
        fcntl(carriage->input.sink, F_GETPIPE_SZ) < (int)carriage->body_left)
        return true;
    while (size < carriage->body_left && poll(&readable, 1, READY_MS) > 0) {
        const ssize_t read = recv(carriage->connection, body + size,
                                  (size_t)carriage->body_left - size, MSG_DONTWAIT);

        if (read <= 0)
            break; /* the one that carries on finds the same */
        size += (size_t)read;
    }
    carriage->body_left -= size;
    return size == 0 || write(carriage->input.sink, body, size) == (ssize_t)size;
}

static bool begin_carrying(struct carriage *carriage, struct carry_ends *ends)
{
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    /* Nobody else has this end: the program does not have it. */
    fcntl(carriage->connection, F_SETFL, fcntl(carriage->connection, F_GETFL) | O_NONBLOCK);
    carriage->is_carried = true;
    carriage->output.source = pipes[0];
    carriage->output.sink = carriage->connection;
    ends->output = pipes[1];
    early_begin(&carriage->early);
    return true;
}

bool carry_begin(struct carriage *carriage, int input, int output, uint64_t length, bool is_seen,
                 struct carry_ends *ends)
{
    int pipes[2];

    carry_leave_alone(carriage, output);
    *ends = (struct carry_ends){input, output};
    if (length == 0)
        ends->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (ends->input < 0)
        return false;
    if ((length == 0 && !is_seen) || !is_connection(input, output))
        return true;
    if (length == 0)
        return begin_carrying(carriage, ends);
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    ends->input = pipes[0];
    carriage->input = (struct flow){.source = input, .sink = pipes[1]};
    carriage->body_left = length;
    if (!take_ready(carriage))
        return false;
    if (!carriage->body_left) {
        carriage->input.source = -1;
        flow_close(&carriage->input.sink);
    }
    return carriage->body_left || is_seen ? begin_carrying(carriage, ends) : true;
}

int carry_list(const struct carriage *carriage, int fds[CARRY_FDS])
{
    const int all[CARRY_FDS] = {carriage->connection, carriage->input.sink, carriage->output.source,
                                carriage->waiting.source, carriage->room};
    int count = 0;

    for (int i = 0; i < CARRY_FDS; i++)
        if (all[i] >= 0)
            fds[count++] = all[i];
    return count;
}

static void lift(int *fd)
{
    int lifted;

    if (*fd < 0 || *fd > STDERR_FILENO)
        return;
    lifted = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (lifted < 0)
        return;
    close(*fd);
    *fd = lifted;
}

void carry_lift(struct carriage *carriage)
{
    lift(&carriage->connection);
    if (carriage->input.source >= 0)
        carriage->input.source = carriage->connection;
    lift(&carriage->input.sink);
    lift(&carriage->output.source);
    if (carriage->is_carried)
        carriage->output.sink = carriage->connection;
}

void carry_leave(const struct carriage *carriage, const struct carry_ends *ends)
{
    int fds[CARRY_FDS];
    int count = carry_list(carriage, fds);

    for (int i = 0; i < count; i++)
        if (fds[i] != ends->input && fds[i] != ends->output)
            close(fds[i]);
}
