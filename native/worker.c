/*
 * A worker's life up to its connection.
 *
 * Retiring must lose no connection, whenever its signal lands. So the handler only closes this
 * process's listening descriptor: an accept4() that has not returned fails with EINTR, the next
 * one with EBADF, and the worker leaves; one that has returned holds a connection and serves it.
 * The closed descriptor is the flag, hence there is no moment between looking and sleeping. Its
 * number is safe to close at any time before signals are blocked again: nothing but accept4()
 * opens a descriptor, and accept4() opens none once the listener is closed. The handler leaves
 * another number of the listener, since whoever holds a connection then may have to take a lock
 * on it. That is closed before the worker does anything else.
 *
 * A signal that arrives before the handler stands stays pending, because all are blocked since
 * birth and the handler is put over the default directly. A worker that was not born when it was
 * asked to leave finds the request in its record.
 */
#include "worker.h"

#include "address.h"
#include "admission.h"
#include "direct.h"
#include "pool_signals.h"
#include "proxy_intake.h"
#include "sources.h"

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
    int saved = errno;
    int spare = fcntl(retire_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    (void)signal_number;
    if (spare >= 0)
        spare_fd = spare;
    close(retire_fd);
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

/* Who has come, and by which proxy. Without one the family of that is AF_UNSPEC. */
struct arrival {
    struct peer client;
    struct peer proxy;
    bool is_silent;    /* the proxy has not said yet for whom it comes */
    bool is_described; /* it has, in the header */
    bool is_judged;    /* rules are in force, and have let the client in */
};

/* What most workers never touch; the texts are the program's until it runs. */
static struct admission admission;
static struct proxy_header header;
static struct proxy_intake intake;

static void write_peers(const struct worker *worker, const struct peer *client,
                        const struct peer *proxy)
{
    struct board_record *record = &worker->board.records[worker->number];

    admission_write_peer(&record->client, client);
    admission_write_peer(&record->proxy, proxy);
}

static void write_down(const struct worker *worker, const struct peer *client,
                       const struct peer *proxy)
{
    struct board_record *record = &worker->board.records[worker->number];
    const struct timespec now = direct_now();

    record->accepted_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    write_peers(worker, client, proxy);
    board_set_state(&worker->board, worker->number, SLOT_ACCEPTED);
}

static void tell_master(const struct worker *worker)
{
    if (board_count_accept(&worker->board))
        doorbell_ring_at_once(&worker->doorbell);
    else
        doorbell_ring(&worker->doorbell);
}

/* Who was silent stands on the board already, as somebody of whom nothing is known. */
static void write_client(const struct worker *worker, const struct arrival *arrival)
{
    if (arrival->is_silent)
        write_peers(worker, &arrival->client, &arrival->proxy);
    else
        write_down(worker, &arrival->client, &arrival->proxy);
}

static struct gate_limit source_limit(const struct worker *worker)
{
    return gate_limit_of(atomic_load(&worker->board.gate->source_limit));
}

/* Write a client down, unless its source has too many connections. */
static bool take_place(const struct worker *worker, const struct arrival *arrival)
{
    const struct gate_limit limit = source_limit(worker);
    const int lock_fd = spare_fd >= 0 ? spare_fd : worker->listener_fd;

    if (limit.most == 0) {
        write_client(worker, arrival);
        return true;
    }
    if (!sources_lock(lock_fd)) {
        admission_refuse(&admission, GATE_UNCOUNTED);
        return false;
    }
    if (sources_have_room(&worker->board, limit, &arrival->client))
        write_client(worker, arrival);
    else
        admission_refuse(&admission, GATE_CROWDED);
    sources_unlock(lock_fd);
    return admission.is_granted;
}

/* By the rules alone. */
static bool is_welcome(const struct worker *worker, const struct peer *client)
{
    if (atomic_load(&worker->board.gate->in_force) == 0)
        return true;
    admission_decide(&admission, worker->board.gate, client);
    return admission.is_granted;
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

/* Decide, as far as a header can say for whom a proxy comes. False if there is none. */
static bool hear_proxy(const struct worker *worker, struct arrival *arrival,
                       enum proxy_verdict heard)
{
    if (heard != PROXY_WHOLE) {
        admission_refuse(&admission, heard == PROXY_MORE ? GATE_LATE_HEADER : GATE_NO_HEADER);
        return false;
    }
    arrival->is_described = true;
    if (header.has_ends) {
        arrival->proxy = arrival->client;
        arrival->client = (struct peer){.address = header.source};
    }
    admission_decide(&admission, worker->board.gate, &arrival->client);
    return admission.is_granted && take_place(worker, arrival);
}

/* Write a client down if it may come in, or a proxy that has not said yet for whom it comes. */
static bool let_in(const struct worker *worker, struct arrival *arrival, int connection)
{
    const struct gate *gate = worker->board.gate;
    enum proxy_verdict heard;

    /* The usual case touches no page of the admission. */
    if (atomic_load(&gate->in_force) == 0) {
        write_down(worker, &arrival->client, &arrival->proxy);
        return true;
    }
    arrival->is_judged = true;
    admission_meet(&admission, gate, &arrival->client);
    if (!admission.is_granted || !admission.header_limit_ms)
        return admission.is_granted && take_place(worker, arrival);
    intake.count = 0;
    heard = proxy_take(&intake, &header, connection);
    if (heard != PROXY_MORE)
        return hear_proxy(worker, arrival, heard);
    arrival->is_silent = true;
    write_down(worker, &arrival->proxy, &arrival->client);
    return true;
}

static void send_away(const struct worker *worker, const struct arrival *arrival, int connection)
{
    admission_send_away(&admission, worker->board.gate, &worker->doorbell, &arrival->client,
                        &arrival->proxy, connection);
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
        int connection;
        bool is_in;

        direct_set_mask(&none, NULL);
        connection = accept_connection(worker, &name);
        direct_set_mask(&all, NULL);
        peer_identify(&arrival->client, connection, &name.address, name.size);
        if (worker->take && is_welcome(worker, &arrival->client) &&
            (connection = take(worker, connection, &arrival->client)) < 0)
            continue;
        arrival->proxy = (struct peer){.address.family = AF_UNSPEC};
        arrival->is_silent = arrival->is_described = arrival->is_judged = false;
        is_in = let_in(worker, arrival, connection);
        if (!arrival->is_silent)
            close_spare(); /* as long as it is open, clients can connect */
        if (is_in)
            return connection;
        /* Whoever retires meanwhile has a closed listener when signals are let through again. */
        send_away(worker, arrival, connection);
    }
}

/* Wait for what a slow proxy has to say, as a worker that others do not wait for: the master knows of
 * the connection. The retire signal is kept for whoever comes next, since its handler would close a
 * descriptor that is no listener any more. The listener is kept only where a lock on it is needed. */
static void wait_for_header(struct worker *worker, struct arrival *arrival, int connection)
{
    sigset_t all, retirement;
    enum proxy_verdict heard;

    if (source_limit(worker).most == 0) {
        close_spare();
        close(worker->listener_fd);
        worker->listener_fd = -1;
    }
    sigemptyset(&retirement);
    sigaddset(&retirement, RETIRE_SIGNAL);
    sigfillset(&all);
    direct_set_mask(&retirement, NULL);
    heard = proxy_take_within(&intake, &header, connection, admission.header_limit_ms);
    direct_set_mask(&all, NULL);
    if (!hear_proxy(worker, arrival, heard)) {
        send_away(worker, arrival, connection);
        end_idle(worker);
    }
    close_spare();
}

static void describe(struct environment *environment, int connection, const struct arrival *arrival)
{
    const struct address *client = &arrival->client.address, *proxy = &arrival->proxy.address;
    struct name name = {.address.ss_family = AF_UNSPEC, .size = sizeof name.address};
    struct address local;

    getsockname(connection, (struct sockaddr *)&name.address, &name.size);
    address_read(&local, &name.address, name.size);
    if (proxy->family != AF_UNSPEC)
        local = header.destination;
    if (client->family == AF_UNIX)
        environment_add_unix(environment, &local, client, &arrival->client.credentials);
    else if (client->family == AF_INET || client->family == AF_INET6)
        environment_add_tcp(environment, &local, client);
    if (proxy->family == AF_INET || proxy->family == AF_INET6)
        environment_add_proxy(environment, proxy);
    for (size_t i = 0; arrival->is_described && i < PROXY_VARIABLES; i++)
        if (*header.variables[i])
            environment_add_text(environment, header.variables[i]);
    for (size_t i = 0; arrival->is_judged && i < admission.count; i++)
        environment_add_text(environment, admission.variables[i]);
}

int worker_wait(struct worker *worker, struct environment *environment)
{
    struct arrival arrival;
    int connection;

    prepare(worker);
    become_idle(worker);
    connection = admit(worker, &arrival);
    tell_master(worker);
    if (arrival.is_silent)
        wait_for_header(worker, &arrival, connection);
    if (environment)
        describe(environment, connection, &arrival);
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
