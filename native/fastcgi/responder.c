/*
 * Signals are blocked but in ppoll(): what they are about is looked at right after it.
 */
#include "responder.h"

#include "foresight.h"
#include "front/clock.h"
#include "front/farewell.h"
#include "signals.h"

#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { FIRST_REQUEST_MS = 1000 };

/* Between two requests, and no further one is wanted. What has come by now is still served. */
static bool is_leaving(const struct conversation *conversation)
{
    return signals_ask_to_finish() && conversation->phase == PHASE_IDLE &&
           conversation->decoder.place == RECORD_IN_HEAD && conversation->decoder.head_size == 0 &&
           conversation->connection.unread.next == conversation->connection.unread.end;
}

/* Look for how long may be waited for what. */
static void settle_patience(struct conversation *conversation)
{
    struct patience *patience = &conversation->patience;

    if (conversation->phase == PHASE_READY || conversation->phase == PHASE_CARRIED_OUT)
        patience_wait_for(patience, PATIENCE_FOR_NOTHING);
    else if (conversation->is_given_up)
        patience_end(patience, farewell_refused.limit_ms);
    else if (!conversation->is_closing && conversation_has_begun(conversation))
        patience_wait_for(patience, PATIENCE_FOR_A_HEAD);
    else if (conversation->is_closing || connection_is_unsent(&conversation->connection))
        patience_wait_for(patience, PATIENCE_FOR_SENDING);
    else
        patience_wait_for(patience, PATIENCE_FOR_SILENCE);
}

/* A limit is over: the last one is for what has been said to be taken. */
static void lose_patience(struct conversation *conversation)
{
    if (conversation->is_given_up) {
        conversation->connection.is_gone = true;
        return;
    }
    conversation_end_late(conversation);
    conversation_proceed(conversation);
    settle_patience(conversation);
}

/* A web server has a reason to connect: the request is about to come, or it would be lost. */
static int leaving_ms(const struct conversation *conversation)
{
    return conversation->is_used ? 0 : FIRST_REQUEST_MS;
}

/* Another process serves the connection from the request on that is about to be received, unless there is
 * something left of those before. */
static bool is_handed_on(struct conversation *conversation, const struct pollfd *input)
{
    const struct connection *connection = &conversation->connection;

    return input->fd >= 0 && input->revents == POLLIN && conversation->phase == PHASE_IDLE &&
           conversation->decoder.place == RECORD_IN_HEAD && conversation->decoder.head_size == 0 &&
           !conversation->is_closing && !conversation->exchange.has_left_some &&
           connection->is_socket && connection->unread.next == connection->unread.end &&
           connection->output_end == 0 && foresight_hand_on(conversation, connection->input_fd);
}

static void wait_for_something(struct conversation *conversation)
{
    struct pollfd polls[2 + EXCHANGE_POLLS];
    bool was_leaving = is_leaving(conversation);
    int patience_ms = was_leaving ? leaving_ms(conversation)
                                  : clock_sooner(exchange_patience(&conversation->exchange),
                                                 patience_left_ms(&conversation->patience));
    int ready;
    const struct timespec patience = {.tv_sec = patience_ms / 1000,
                                      .tv_nsec = patience_ms % 1000 * 1000000L};

    connection_watch(&conversation->connection, polls);
    exchange_watch(&conversation->exchange, conversation->has_piece, polls + 2);
    ready = ppoll(polls, 2 + EXCHANGE_POLLS, patience_ms < 0 ? NULL : &patience,
                  signals_while_waiting());
    conversation->is_closing = conversation->is_closing || (was_leaving && ready == 0);
    if (ready < 0) {
        /* Not to wait would be to turn for ever: without it there is no serving. */
        if (errno != EINTR)
            conversation->failure = errno;
        for (int i = 0; i < 2 + EXCHANGE_POLLS; i++)
            polls[i] = (struct pollfd){.fd = -1}; /* nothing is known of any */
    }
    if (is_handed_on(conversation, &polls[0])) {
        conversation->is_handed_on = true;
        return;
    }
    connection_receive(&conversation->connection, polls);
    exchange_advance(&conversation->exchange, polls + 2);
}

/* Tell whether the web server is gone, or has gone before it had said all of a request. */
static bool is_deserted(const struct conversation *conversation)
{
    const struct connection *connection = &conversation->connection;

    if (signals_stop() || (connection->is_gone && !connection->is_read_on))
        return true;
    return connection->has_ended &&
           (connection->is_end_departure || !conversation->has_body_ended);
}

static bool is_over(const struct conversation *conversation)
{
    const struct connection *connection = &conversation->connection;

    if (conversation->phase != PHASE_IDLE)
        return false;
    if (connection->is_gone || signals_stop())
        return true;
    return (conversation->is_closing || connection->has_ended) && !connection_is_unsent(connection);
}

/* Tell whether a request has begun to come, and there is nothing yet to carry it out by. */
static bool is_to_prepare(const struct conversation *conversation)
{
    const struct bytes *unread = &conversation->connection.unread;

    return conversation->service->prepare && !conversation->is_prepared &&
           conversation->phase == PHASE_IDLE && !is_over(conversation) &&
           (conversation->is_put_off || unread->next < unread->end);
}

/* Do all that can be done without waiting. Returns true in a child that is no server any more. */
static bool proceed(struct conversation *conversation)
{
    do {
        if (is_to_prepare(conversation)) {
            conversation->is_prepared = true;
            if (conversation->service->prepare(conversation->service))
                return true;
        }
        conversation_proceed(conversation);
    } while (is_to_prepare(conversation));
    return false;
}

/* Programs that were left to themselves end with us (see program.c), so that they are waited for; what
 * they have left behind is a child of ours like them. The web server does not wait. */
static void wait_for_programs(int output_fd)
{
    pid_t ended;

    shutdown(output_fd, SHUT_RDWR);
    while (!signals_stop() && (ended = waitpid(-1, NULL, WNOHANG)) >= 0)
        if (ended == 0)
            ppoll(NULL, 0, NULL, signals_while_waiting());
}

int responder_run(struct conversation *conversation, const struct service *service, int input_fd,
                  int output_fd)
{
    /* What a program leaves behind becomes our child, and so its end is seen. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    conversation->service = service;
    conversation->exchange.service = service;
    conversation->exchange.answer.service = service;
    conversation->exchange.answer.connection = &conversation->connection;
    conversation->patience.head_limit_ms = service->head_limit_ms;
    conversation->patience.keep_limit_ms = service->keep_limit_ms;
    connection_begin(&conversation->connection, input_fd, output_fd);
    conversation->connection.is_read_on = service->may_finish;
    patience_begin(&conversation->patience);
    for (;;) {
        if (proceed(conversation))
            return RESPONDER_DIVIDED;
        settle_patience(conversation);
        if (patience_left_ms(&conversation->patience) == 0)
            lose_patience(conversation);
        if (is_over(conversation))
            break;
        wait_for_something(conversation);
        if (conversation->is_handed_on)
            return RESPONDER_HANDED_ON;
        if (conversation->failure) {
            if (conversation->phase == PHASE_CARRIED_OUT)
                exchange_terminate(&conversation->exchange);
            errno = conversation->failure;
            return RESPONDER_FAILED;
        }
        conversation->is_prepared = false; /* or it has ended meanwhile */
        if (conversation->phase != PHASE_IDLE && is_deserted(conversation))
            conversation_give_up(conversation);
        if (conversation->phase == PHASE_CARRIED_OUT && signals_stop())
            exchange_terminate(&conversation->exchange);
    }
    if (conversation->exchange.has_left_some) {
        connection_end(&conversation->connection, true, &farewell_answered);
        wait_for_programs(output_fd);
    }
    sigprocmask(SIG_SETMASK, signals_while_waiting(), NULL);
    if (!signals_stop())
        connection_end(&conversation->connection,
                       conversation->has_body_ended &&
                           conversation->decoder.place == RECORD_IN_HEAD,
                       conversation->exchange.answer.has_begun && !conversation->is_given_up
                           ? &farewell_answered
                           : &farewell_refused);
    return signals_stop();
}
