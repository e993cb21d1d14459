/*
 * Nothing execs here, so close-on-exec does not help: everything of ours is given back by name.
 */
#include "copy.h"

#include "dispositions.h"
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

void copy_release(const struct original *original, const struct worker *worker, int connection)
{
    greet(original, connection);
    for (int i = 0; i < original->wired_count; i++)
        if (dup3(connection, original->wired[i], original->wired_flags[i] ? O_CLOEXEC : 0) < 0)
            worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
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
