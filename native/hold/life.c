/*
 * The order matters: what a clone needs to be a process of its own comes before anything of its connection
 * is looked at, and what the program gets comes last.
 */
#include "life.h"

#include "atfork.h"
#include "call.h"
#include "canary.h"
#include "files.h"
#include "front/farewell.h"
#include "front/favourites.h"
#include "front/keeper.h"
#include "numbers.h"
#include "python.h"
#include "requests.h"
#include "seed.h"
#include "shortcuts.h"
#include "thread.h"
#include "timers.h"
#include "trial.h"
#include "variables.h"
#include "wakeups.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char *connection_entries[ENVIRONMENT_MOST + 1];
static struct environment connection_variables = {.entries = connection_entries};
static struct keeper keeper;

static int receive(const struct worker *worker, int accepted)
{
    (void)worker;
    return favourites_receive(accepted);
}

void life_prepare(const struct held *held, struct worker *worker)
{
    worker->cpu_limit = held->terms.cpu_limit;
    worker->take = held->terms.own_path ? receive : NULL;
    keeper.kill_ms = held->terms.kill_ms;
}

/* What is done before the exec of a program that a request names. */
static void go_where_chosen(struct held *held, const struct front_request *request,
                            int connection)
{
    static const struct refusal other = {
        "503 Service Unavailable", "the request came to a copy of another program"};

    if (!held->terms.own_path)
        return;
    if (strcmp(request->path, held->terms.own_path) != 0)
        front_refuse(&held->terms.front, connection, &other); /* the way to it has changed in between */
    if (request->folder && chdir(request->folder) < 0)
        front_refuse(&held->terms.front, connection, front_why_not_run(errno));
}

/* Wait for a connection and for what the program has to know of it, and say who is to stay behind
 * the program then; NULL for nobody. */
static struct keeper *wait_connection(struct held *held, struct worker *worker, char ***entries,
                                      struct streams *streams)
{
    struct front_request request;
    struct carry_ends ends;
    int connection;

    if (held->terms.front.head_limit_ms == 0) {
        *entries = connection_entries;
        connection = worker_wait(worker, &connection_variables);
        *streams = (struct streams){connection, connection, -1};
        carry_leave_alone(&keeper.carriage, connection);
    } else {
        connection = worker_wait(worker, NULL);
        worker_leave(worker);
        held->terms.front.keeper_of_notes = worker;
        request = front_take(&held->terms.front, connection, connection);
        go_where_chosen(held, &request, connection);
        *entries = request.own_entries;
        if (!carry_begin(&keeper.carriage, connection, connection, request.body_length,
                         held->terms.watch == CARRY_TO_FINISH || held->terms.front.answer_limit_ms,
                         &ends))
            worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
        keeper.carriage.watch = held->terms.watch;
        *streams = (struct streams){ends.input, ends.output, -1};
        if (ends.output != connection && ends.input != connection && !keeper.carriage.is_carried)
            close(connection);
    }
    keeper.carriage.farewell = held->terms.linger.limit_ms ? held->terms.linger : farewell_answered;
    return held->terms.linger.limit_ms || keeper.carriage.is_carried ? &keeper : NULL;
}

/* What a clone needs to be a process of its own. */
static UNPROTECTED void become_copy(const struct worker *worker)
{
    canary_renew();
    seed_renew();
    thread_renew();
    if (!timers_make() || !wakeups_renew()) /* before the program makes others there */
        worker_fail(worker, STEP_PREPARE, errno, EXIT_SYSTEM);
    atfork_child();
    files_reopen();
    python_after_fork();
    numbers_renew();
    shortcuts_touch(connection_entries, sizeof connection_entries);
    shortcuts_touch(&connection_variables, sizeof connection_variables);
    variables_touch();
}

/* What the program gets at last: its connection, and what it has to know of it. */
static void go_on(struct held *held, struct worker *worker, const struct streams *streams,
                  char **entries, struct keeper *behind)
{
    copy_release(&held->original, worker, streams, behind, &held->terms.front);
    variables_add(entries);
    python_add(entries);
    timers_start();
}

/* A program may count on the variables of a connection: the client on trial is the listener itself. */
static void describe_trial(int listener_fd)
{
    const struct ucred own = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    struct address address;

    if (getsockname(listener_fd, (struct sockaddr *)&name, &size) < 0)
        return;
    address_read(&address, &name, size);
    if (address.family == AF_UNIX)
        environment_add_unix(&connection_variables, &address, &address, &own);
    else
        environment_add_tcp(&connection_variables, &address, &address);
    environment_add_identity(&connection_variables, "trial");
}

/* The life of a copy, to the program. With FastCGI the process that has been a worker stays behind, and
 * each of its children goes on. */
UNPROTECTED void life_live(struct held *held, struct worker *worker, pid_t *thread_id)
{
    struct streams streams;
    struct keeper *behind;
    char **entries;

    if (!held->terms.service.name) {
        become_copy(worker);
        behind = wait_connection(held, worker, &entries, &streams);
        go_on(held, worker, &streams, entries, behind);
        return;
    }
    requests_serve(worker, &held->terms.service, thread_id);
    become_copy(worker);
    entries = requests_take(&streams, held->terms.service.cpu_limit);
    go_on(held, worker, &streams, entries, NULL);
    requests_follow();
}

/* With a front there is no program to run if there is no request. */
bool life_is_tried(const struct held *held)
{
    return call.first.is_run_on_trial && (!call.first.has_front || held->has_request);
}

/* Without a keeper: a body that is not there yet is read from the connection. */
static char **take_trial_request(struct held *held, int connection, struct streams *streams)
{
    struct front_request request = front_take(&held->terms.front, connection, connection);
    struct carriage carriage;
    struct carry_ends ends;

    if (carry_begin(&carriage, connection, connection, request.body_length, false, &ends) &&
        !carriage.is_carried)
        *streams = (struct streams){ends.input, ends.output, -1};
    return request.own_entries;
}

/* On trial. No keeper stays behind it: its client is the template, which reads all. */
UNPROTECTED void life_try(struct held *held, struct worker *worker)
{
    char **entries = connection_entries;
    struct streams streams;
    int connection;

    trial_leave_pool(&worker->board);
    become_copy(worker);
    if (!life_is_tried(held))
        _exit(0);
    connection = trial_connect();
    streams = (struct streams){connection, connection, -1};
    if (!held->has_request)
        held->original.logging.count = 0;
    held->terms.front.keeper_of_notes = worker;
    if (call.first.has_front)
        entries = take_trial_request(held, connection, &streams);
    else
        describe_trial(worker->listener_fd);
    go_on(held, worker, &streams, entries, NULL);
    trial_go_on();
}
