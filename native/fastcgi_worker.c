/*
 * What is said on a connection is in memory that no child has: a copy of this process that carries a
 * request out must not find in its own memory what others have asked and been answered.
 *
 * A retire signal that comes with the connection is not lost: it is noted, as one that comes later.
 */
#include "fastcgi_worker.h"

#include "exits.h"
#include "fastcgi/foresight.h"
#include "fastcgi/responder.h"
#include "fastcgi/signals.h"
#include "front/keeper.h"
#include "identity.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

void fastcgi_worker_plan(struct service *service, const struct plan *plan)
{
    service->name = "socketd";
    service->stderr_mode = (enum stderr_mode)plan->request_stderr;
    service->head_limit_ms = plan->head_limit_ms;
    service->keep_limit_ms = plan->keep_limit_ms;
    service->request_limit_ms = plan->request_limit_ms;
    service->answer_limit_ms = plan->answer_limit_ms;
    service->head_limit = plan->head_limit;
    service->body_limit = plan->body_limit;
    service->may_finish = plan->client_gone == CLIENT_GONE_FINISH;
    /* Before the master kills this process, which has the group of the program killed. */
    service->kill_ms = plan->kill_ms - plan->kill_ms / 10;
}

enum { FIRST_MS = 10 }; /* whoever connects has something to say */

static struct conversation *conversation;

static struct conversation *begin_conversation(const struct service *service)
{
    conversation =
        mmap(NULL, sizeof *conversation, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (conversation == MAP_FAILED || madvise(conversation, sizeof *conversation, MADV_DONTFORK) < 0)
        return NULL;
    conversation->service = service;
    return conversation;
}

/* For a service whose requests name programs. */
static int take_or_hand_on(const struct worker *worker, int accepted)
{
    struct pollfd readable = {.fd = accepted, .events = POLLIN};

    (void)worker;
    if (poll(&readable, 1, FIRST_MS) <= 0 || !foresight_hand_on(conversation, accepted))
        return accepted;
    close(accepted);
    return -1;
}

static _Noreturn void fail(void)
{
    dprintf(STDERR_FILENO, "socketd: cannot serve a connection: %s\n", strerror(errno));
    _exit(EXIT_SYSTEM);
}

void fastcgi_worker_serve(struct worker *worker, const struct service *service)
{
    char name[IDENTITY_SIZE];
    int connection, ended_by;

    worker->cpu_limit = NULL; /* it is the programs' */
    if (service->favourites.token && !worker->take) {
        worker->take = take_or_hand_on;
        if (!begin_conversation(service))
            worker_fail(worker, STEP_PREPARE, errno, EXIT_SYSTEM);
    }
    connection = worker_wait(worker, NULL);
    signals_note();
    identity_read(&worker->board, worker->number, name);
    worker_give_back(worker);
    /* A busy worker outlives the master. */
    prctl(PR_SET_PDEATHSIG, 0);
    prctl(PR_SET_NAME, "socketd-fastcgi");
    if (!conversation && !begin_conversation(service))
        fail();
    memcpy(conversation->name, name, sizeof conversation->name);
    ended_by = responder_run(conversation, service, connection, connection);
    if (ended_by == RESPONDER_FAILED)
        fail();
    close(connection);
    if (ended_by == RESPONDER_DIVIDED)
        return;
    if (ended_by == RESPONDER_HANDED_ON)
        ended_by = 0;
    if (service->end)
        service->end(service);
    if (conversation->exchange.has_crashed)
        keeper_end_like(conversation->exchange.backend.wait_status);
    keeper_end_like(ended_by); /* as wait(2) has it, the number of a signal is the status */
}
