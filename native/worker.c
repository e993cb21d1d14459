/*
 * A worker's life up to its connection.
 *
 * Retiring must lose no connection, whenever its signal lands. So the handler only closes this
 * process's listening descriptor: an accept4() that has not returned fails with EINTR, the next
 * one with EBADF, and the worker leaves; one that has returned holds a connection and serves it.
 * The closed descriptor is the flag, hence there is no moment between looking and sleeping. Its
 * number is safe to close at any time before signals are blocked again: nothing but accept4()
 * opens a descriptor, and accept4() opens none once the listener is closed. Where a client waits for
 * a place, others are opened, with signals blocked; so the handler does its work only once. It leaves
 * another number of the listener, since whoever holds a connection then may have to take a lock
 * on it. That is closed before the worker does anything else.
 *
 * A signal that arrives before the handler stands stays pending, because all are blocked since
 * birth and the handler is put over the default directly. A worker that was not born when it was
 * asked to leave finds the request in its record.
 */
#include "worker.h"

#include "address.h"
#include "arrival.h"
#include "direct.h"
#include "pool_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t retire_fd = -1; /* not 0: among what is written to in any case */
static volatile sig_atomic_t spare_fd = -1; /* the listener, after the handler */

void worker_stop_listening(int signal_number)
{
    const int fd = retire_fd;
    int saved = errno;
    int spare;

    (void)signal_number;
    if (fd < 0)
        return;
    retire_fd = -1; /* a second time it may be the number of something else */
    spare = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (spare >= 0)
        spare_fd = spare;
    close(fd);
    errno = saved;
}

static void close_spare(void)
{
    if (spare_fd < 0)
        return;
    close(spare_fd);
    spare_fd = -1;
}

_Noreturn void worker_fail(const struct worker *worker, enum step step, int error, int status)
{
    if (worker->board.header)
        board_write_failure(&worker->board, worker->number, step, error);
    _exit(status);
}

static _Noreturn void end_idle(const struct worker *worker)
{
    close_spare();
    if (worker->end_idle)
        worker->end_idle(worker);
    _exit(0);
}

static void prepare(const struct worker *worker)
{
    /* No SA_RESTART: accept4() has to return. */
    struct sigaction action = {.sa_handler = worker_stop_listening};

    sigfillset(&action.sa_mask);
    direct_lead_group();
    prctl(PR_SET_NAME, "socketd-worker");
    retire_fd = worker->listener_fd;
    if (sigaction(RETIRE_SIGNAL, &action, NULL) < 0 ||
        (worker->cpu_limit && setrlimit(RLIMIT_CPU, worker->cpu_limit) < 0) ||
        prctl(PR_SET_PDEATHSIG, RETIRE_SIGNAL) < 0)
        worker_fail(worker, STEP_PREPARE, errno, EXIT_SYSTEM);
    /* A master that died before the line above sends nothing. */
    if (direct_getppid() != worker->doorbell.master)
        end_idle(worker);
}

static void become_idle(const struct worker *worker)
{
    board_set_state(&worker->board, worker->number, SLOT_IDLE);
    if (board_is_ringing_when_idle(&worker->board))
        doorbell_ring(&worker->doorbell);
    /* The master writes the request, then reads our pid; the kernel wrote our pid, now we read
     * the request. With a fence on each side one of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    if (board_is_asked_to_retire(&worker->board, worker->number))
        end_idle(worker);
}

/* Errors of one connection, see accept(2), "Error handling". EPERM is none of them: a security
 * module refuses before a connection is taken off the queue, so the next call fails alike. */
static bool is_transient(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EINTR:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
        return true;
    default:
        return false;
    }
}

/* The name of the peer, as accept4() tells it. */
struct name {
    struct sockaddr_storage address;
    socklen_t size;
};

static int accept_connection(const struct worker *worker, struct name *name)
{
    for (;;) {
        int connection;

        *name = (struct name){.address.ss_family = AF_UNSPEC, .size = sizeof name->address};
        connection = accept4(worker->listener_fd, (struct sockaddr *)&name->address, &name->size,
                             SOCK_CLOEXEC);
        if (connection >= 0)
            return connection;
        /* The master shuts down a listener of its own making when nobody is to come any more. */
        if (errno == EBADF || (errno == EINVAL && worker->take))
            end_idle(worker);
        if (errno == EAGAIN) {
            /* A listener that was handed to us may be non-blocking, and the flag is not ours
             * to change. A retirement in between makes poll() return too: POLLNVAL. */
            struct pollfd readable = {.fd = worker->listener_fd, .events = POLLIN};

            poll(&readable, 1, -1);
        } else if (!is_transient(errno)) {
            worker_fail(worker, STEP_ACCEPT, errno, EXIT_SYSTEM);
        }
    }
}

static void tell_master(const struct worker *worker)
{
    if (board_count_accept(&worker->board))
        doorbell_ring_at_once(&worker->doorbell);
    else
        doorbell_ring(&worker->doorbell);
}

/* Make of a connection what the worker wants. Returns -1 if there is none any more. Where a worker wants
 * something there is neither a proxy nor a limit of sources: who takes over would know of neither. */
static int take(const struct worker *worker, int accepted, struct peer *client)
{
    const int connection = worker->take(worker, accepted);
    struct name name = {.address.ss_family = AF_UNSPEC, .size = sizeof name.address};

    if (connection >= 0 && connection != accepted) {
        getpeername(connection, (struct sockaddr *)&name.address, &name.size);
        peer_identify(client, connection, &name.address, name.size);
    }
    return connection;
}

/* Once retiring has closed the listener's own number, the spare one leads to it. */
static struct place place_of(const struct worker *worker)
{
    return (struct place){&worker->board, worker->number,
                          spare_fd >= 0 ? spare_fd : worker->listener_fd};
}

/* Have somebody who is one too many wait for a place, as long as it may. The master takes this worker for
 * one that waits for a connection, and may ask it to retire: the client is served or sent away first. */
static bool queue(const struct worker *worker, struct arrival *arrival)
{
    struct queue_watch watch;
    bool is_in = false;
    sigset_t all, none;

    sigfillset(&all);
    sigemptyset(&none);
    while (!is_in && arrival_may_queue(arrival, &worker->board, &watch)) {
        struct place place;

        direct_set_mask(&none, NULL);
        queue_wait(&watch, arrival->queue_end_ns);
        direct_set_mask(&all, NULL);
        queue_leave(&watch);
        place = place_of(worker);
        is_in = arrival_ask_again(arrival, &place);
    }
    if (arrival->turn.queued_ns) {
        const struct place place = place_of(worker);

        place_leave_queue(&place, &arrival->turn);
    }
    return is_in;
}

/* A connection whose client may come in, and stands on the board. Others are sent away, and nobody else
 * hears of them but by the gate. Returns with all signals blocked. */
static int admit(const struct worker *worker, struct arrival *arrival)
{
    sigset_t all, none;
    struct name name;

    sigfillset(&all);
    sigemptyset(&none);
    for (;;) {
        struct place place;
        int connection;
        bool is_in;

        direct_set_mask(&none, NULL);
        connection = accept_connection(worker, &name);
        direct_set_mask(&all, NULL);
        peer_identify(&arrival->client, connection, &name.address, name.size);
        if (worker->take && arrival_is_welcome(worker->board.gate, &arrival->client) &&
            (connection = take(worker, connection, &arrival->client)) < 0)
            continue;
        place = place_of(worker);
        is_in = arrival_let_in(arrival, &place, connection) || queue(worker, arrival);
        if (!is_in || !arrival_is_to_wait(arrival))
            close_spare(); /* as long as it is open, clients can connect */
        if (is_in)
            return connection;
        /* Whoever retires meanwhile has a closed listener when signals are let through again. */
        arrival_send_away(arrival, &worker->board, &worker->doorbell);
    }
}

/* The listener is kept only where a lock on it is needed. */
static void keep_for_lock(struct worker *worker, const struct arrival *arrival)
{
    if (arrival_needs_listener(arrival, &worker->board))
        return;
    close_spare();
    if (worker->listener_fd >= 0)
        close(worker->listener_fd);
    worker->listener_fd = -1;
}

/* Wait for what a slow proxy has to say, and for the client's turn, as a worker that others do not wait
 * for: the master knows of the connection. The retire signal is kept for whoever comes next, since its
 * handler would close a descriptor that is no listener any more. */
static void wait_for_turn(struct worker *worker, struct arrival *arrival)
{
    sigset_t all, retirement;

    sigemptyset(&retirement);
    sigaddset(&retirement, RETIRE_SIGNAL);
    sigfillset(&all);
    while (arrival_is_to_wait(arrival)) {
        struct place place;

        keep_for_lock(worker, arrival);
        direct_set_mask(&retirement, NULL);
        arrival_wait(arrival);
        direct_set_mask(&all, NULL);
        place = place_of(worker);
        if (!arrival_settle(arrival, &place)) {
            arrival_send_away(arrival, &worker->board, &worker->doorbell);
            end_idle(worker);
        }
    }
    close_spare();
}

int worker_wait(struct worker *worker, struct environment *environment)
{
    struct arrival arrival;
    struct place place;
    int connection;

    prepare(worker);
    become_idle(worker);
    connection = admit(worker, &arrival);
    tell_master(worker);
    if (arrival_is_to_wait(&arrival))
        wait_for_turn(worker, &arrival);
    place = place_of(worker);
    if (environment)
        arrival_describe(&arrival, &place, environment);
    return connection;
}

void worker_leave(struct worker *worker)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};

    /* The handler first: it closes whatever has the listener's number. */
    if (sigaction(RETIRE_SIGNAL, &usual, NULL) < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    if (worker->listener_fd >= 0)
        close(worker->listener_fd);
    worker->listener_fd = -1;
}

void worker_leave_pool(struct worker *worker)
{
    if (worker->listener_fd >= 0)
        worker_leave(worker);
    worker_give_back(worker);
}

void worker_give_back(struct worker *worker)
{
    if (!worker->board.header)
        return;
    if (worker->listener_fd >= 0)
        close(worker->listener_fd);
    close(worker->doorbell.fd);
    munmap(worker->board.header, board_size(worker->board.capacity));
    worker->listener_fd = worker->doorbell.fd = -1;
    worker->board.header = NULL;
}
