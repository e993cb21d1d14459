#include "backend.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIGNALLED = 128 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static ssize_t write_some(const struct backend *backend, const void *bytes, size_t length)
{
    ssize_t size;

    do
        size = backend->is_socket
                   ? send(backend->body_fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                   : write(backend->body_fd, bytes, length);
    while (size < 0 && errno == EINTR);
    return size;
}

static void stop_writing(struct backend *backend)
{
    backend->head_left = 0;
    if (backend->is_socket)
        backend->body_fd = -1; /* answer_fd goes on */
    else
        close_fd(&backend->body_fd);
}

size_t backend_write(struct backend *backend, const void *piece, size_t length)
{
    ssize_t size;

    if (!backend_write_head(backend))
        return 0;
    if (backend->body_fd < 0)
        return length;
    size = write_some(backend, piece, length);
    if (size >= 0)
        return (size_t)size;
    if (errno == EAGAIN)
        return 0;
    /* It may well answer without reading all, or any. */
    stop_writing(backend);
    return length;
}

bool backend_write_head(struct backend *backend)
{
    while (backend->head_left) {
        ssize_t size = write_some(backend, backend->head, backend->head_left);

        if (size < 0 && errno == EAGAIN)
            return false;
        if (size < 0) {
            stop_writing(backend);
            break;
        }
        backend->head += size;
        backend->head_left -= (size_t)size;
    }
    if (backend->is_body_over)
        backend_end_body(backend);
    return true;
}

void backend_end_body(struct backend *backend)
{
    backend->is_body_over = true;
    if (backend->body_fd < 0 || backend->head_left)
        return;
    if (backend->is_socket)
        shutdown(backend->body_fd, SHUT_WR);
    stop_writing(backend);
}

ssize_t backend_read(struct backend *backend, int *fd, void *buffer, size_t size)
{
    ssize_t length = backend->is_socket ? recv(*fd, buffer, size, MSG_DONTWAIT)
                                        : read(*fd, buffer, size);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return -1;
    if (length > 0)
        return length;
    if (backend->is_socket)
        backend->body_fd = -1;
    close_fd(fd);
    return 0;
}

/* Whatever the program leaves behind is ours to wait for, see PR_SET_CHILD_SUBREAPER. */
void backend_reap(struct backend *backend)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != backend->group)
            continue;
        backend->has_exited = true;
        backend->wait_status = status;
    }
}

void backend_close(struct backend *backend)
{
    if (!backend->is_socket)
        close_fd(&backend->body_fd);
    backend->body_fd = -1;
    close_fd(&backend->answer_fd);
    close_fd(&backend->stderr_fd);
}

void backend_signal(struct backend *backend, int number)
{
    backend_close(backend);
    if (backend->group)
        kill(-backend->group, number);
}

bool backend_is_over(const struct backend *backend)
{
    if (!backend->group)
        return true;
    return backend->has_exited && kill(-backend->group, 0) < 0 && errno == ESRCH;
}

unsigned backend_status(const struct backend *backend)
{
    if (WIFSIGNALED(backend->wait_status))
        return SIGNALLED + (unsigned)WTERMSIG(backend->wait_status);
    return (unsigned)WEXITSTATUS(backend->wait_status);
}
