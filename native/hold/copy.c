/*
 * Nothing execs here, so close-on-exec does not help: everything of ours is given back by name.
 */
#include "copy.h"

#include "dispositions.h"
#include "front/syslog.h"
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void greet(const struct original *original, int connection)
{
    size_t sent = 0;

    while (sent < original->greeting_size) {
        ssize_t count = send(connection, original->greeting + sent, original->greeting_size - sent,
                             MSG_NOSIGNAL);

        if (count >= 0)
            sent += (size_t)count;
        else if (errno != EINTR)
            return; /* the client is gone, as the program will find out by itself */
    }
}

static void put_in_place(const struct worker *worker, int fd, const struct twins *twins)
{
    for (int i = 0; i < twins->count; i++)
        if (dup3(fd, twins->fds[i], twins->flags[i] ? O_CLOEXEC : 0) < 0)
            worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
}

/* What one copy does to its socket, as to shut it down, is not done to that of others. */
static void open_log(const struct worker *worker, const struct twins *twins)
{
    int fd = twins->count ? syslog_open() : -1;

    if (fd < 0)
        return; /* not even /dev/null: the template's is left */
    put_in_place(worker, fd, twins);
    close(fd);
}

void copy_release(const struct original *original, const struct worker *worker, int connection)
{
    greet(original, connection);
    put_in_place(worker, connection, &original->wired);
    open_log(worker, &original->logging);
    /* A busy worker outlives the master. */
    if (prctl(PR_SET_PDEATHSIG, 0) < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    close(connection);
    close(worker->listener_fd);
    close(worker->doorbell.fd);
    share_leave(&worker->board);
    if (original->dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1);
    prctl(PR_SET_NAME, original->name);
    dispositions_give_back();
}
