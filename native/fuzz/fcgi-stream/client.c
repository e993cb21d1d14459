#include "client.h"

#include "answers.h"
#include "clock.h"
#include "rule.h"
#include "said.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BODY_MOST = 256 * 1024, /* more than pipes and buffers hold together */
    MOST_TURNS_DEAF = 8,
    RECORD_MOST = 65535,
    BEGIN_REQUEST = 1,
    ABORT_REQUEST = 2,
    PARAMS = 4,
    STDIN = 5,
    GET_VALUES = 9,
    RESPONDER = 1,
    KEEP = 1,
};

/* What is chosen next. */
enum move {
    MOVE_REQUEST, /* a whole one, and its outcome is known */
    MOVE_REQUEST_AND_WAIT,
    MOVE_BEGIN,
    MOVE_PARAMS,
    MOVE_BODY,
    MOVE_ABORT,
    MOVE_QUESTION,
    MOVE_UNKNOWN,
    MOVE_BYTES,
    MOVE_HEAD, /* of a record whose content may never come */
    MOVE_PIECES,
    MOVE_WAIT,
    MOVE_DEAF, /* take no answers for some turns */
    MOVE_SIGNAL,
    MOVE_TIME,
    MOVE_END,
    MOVE_CLOSE,
    MOVES,
};

static struct {
    struct client_service service;
    struct input *input;
    int in;
    int out;
    size_t piece;
    bool is_waiting;
    unsigned turns_deaf;
    bool is_orderly; /* so far: each outcome is known */
    bool is_kept;    /* the connection, after what has been said */
    bool has_ended;  /* its sending */
    bool is_broken;  /* it has closed, or the wrapper was told to stop */
    unsigned char body[BODY_MOST];
} client;

void client_begin(int in, int out, const struct client_service *service, struct input *input)
{
    client.service = *service;
    client.input = input;
    client.in = in;
    client.out = out;
    client.piece = 0;
    client.turns_deaf = 0;
    client.is_waiting = client.has_ended = client.is_broken = false;
    client.is_orderly = client.is_kept = true;
    said_begin();
}

static void be_disorderly(void)
{
    client.is_orderly = false;
    answers_expect_nothing();
}

static void say_record(unsigned type, unsigned id, const void *content, size_t length)
{
    said_record(type, id, content, length, input_byte(client.input));
}

static void say_begin(unsigned id, unsigned role, unsigned flags)
{
    const unsigned char content[8] = {(unsigned char)(role >> 8), (unsigned char)role,
                                      (unsigned char)flags};

    say_record(BEGIN_REQUEST, id, content, sizeof content);
}

static size_t put_pair(unsigned char *out, const char *name, const char *value)
{
    size_t name_length = strlen(name), value_length = strlen(value);

    out[0] = (unsigned char)name_length;
    out[1] = (unsigned char)value_length;
    memcpy(out + 2, name, name_length);
    memcpy(out + 2 + name_length, value, value_length);
    return 2 + name_length + value_length;
}

static void say_params(unsigned id, size_t body_length)
{
    unsigned char pairs[512];
    char number[24];
    size_t size = 0, cut;

    snprintf(number, sizeof number, "%zu", body_length);
    size += put_pair(pairs + size, "CONTENT_LENGTH", number);
    size += put_pair(pairs + size, "REQUEST_METHOD", "POST");
    if (client.service.path)
        size += put_pair(pairs + size, "SCRIPT_NAME", client.service.path);
    cut = input_byte(client.input) % size;
    if (cut)
        say_record(PARAMS, id, pairs, cut);
    say_record(PARAMS, id, pairs + cut, size - cut);
    say_record(PARAMS, id, "", 0);
}

static void say_body(unsigned id, size_t length)
{
    size_t record = input_length(client.input) + 1, at = 0;

    for (size_t i = 0; i < length; i++)
        client.body[i] = (unsigned char)(i * 7 + (i >> 8));
    while (at < length) {
        size_t step = length - at < record ? length - at : record;

        say_record(STDIN, id, client.body + at, step);
        at += step;
        record *= 2; /* or the heads would be most of it */
        record = record > RECORD_MOST ? RECORD_MOST : record;
    }
    say_record(STDIN, id, "", 0);
}

static void say_request(void)
{
    unsigned choice = input_byte(client.input);
    size_t length = input_length(client.input) * (choice & 16 ? 4 : 1) % (BODY_MOST + 1);
    struct outcome outcome;

    say_begin(1, RESPONDER, choice % 8 ? KEEP : 0);
    say_params(1, length);
    say_body(1, length);
    if (said_is_cut())
        be_disorderly();
    if (!client.is_orderly)
        return;
    if (!client.is_kept) {
        be_disorderly(); /* the one before was the last */
        return;
    }
    outcome = outcome_of(client.service.plan, client.service.steps, client.service.is_pool,
                         client.body, length);
    outcome.is_refused = client.service.is_missing;
    if (client.service.is_tcp || outcome.is_endless)
        be_disorderly();
    else
        answers_expect(outcome);
    client.is_kept = choice % 8 != 0;
}

static void say_pieces_of_params(unsigned id)
{
    static const char *const names[] = {"A",          "CONTENT_LENGTH", "HTTP_A", "PATH_INFO",
                                        "SCRIPT_NAME", "LD_PRELOAD",     "",       "PLAN"};
    unsigned char pairs[64];
    unsigned choice = input_byte(client.input);
    size_t size = put_pair(pairs, names[choice % 8], choice & 8 ? "7" : "/plan/x");

    if (choice & 16)
        say_record(PARAMS, id, pairs, size);
    if (choice & 32)
        say_record(PARAMS, id, "", 0);
    if (choice & 64)
        say_record(PARAMS, id, pairs, size / 2);
}

static void say_bytes(void)
{
    size_t length = input_byte(client.input);
    size_t left = (size_t)(client.input->end - client.input->next);

    length = length < left ? length : left;
    said_add(client.input->next, length);
    client.input->next += length;
}

static unsigned choose_id(void)
{
    static const unsigned ids[] = {1, 2, 256, 65535};

    return ids[input_byte(client.input) % 4];
}

static void close_both(bool is_reset)
{
    const struct linger at_once = {.l_onoff = 1};

    if (client.in < 0)
        return;
    if (is_reset)
        setsockopt(client.in, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (client.out != client.in)
        close(client.out);
    close(client.in);
    client.in = client.out = -1;
    client.has_ended = client.is_broken = true;
}

static void end_sending(void)
{
    if (client.has_ended)
        return;
    client.has_ended = true;
    if (client.out == client.in) {
        shutdown(client.out, SHUT_WR);
        return;
    }
    close(client.out);
    client.out = client.in;
}

static void send_signal(void)
{
    static const int numbers[] = {SIGTERM, SIGHUP, SIGINT, SIGCHLD, SIGWINCH, SIGWINCH};
    int number = numbers[input_byte(client.input) % 6];

    if (number != SIGCHLD)
        client.is_broken = true; /* it may stop in the midst of a record */
    raise(number);
}

static void move(void)
{
    enum move what = (enum move)(input_byte(client.input) % MOVES);
    unsigned id = what > MOVE_REQUEST_AND_WAIT && what < MOVE_BYTES ? choose_id() : 0;

    if (what > MOVE_REQUEST_AND_WAIT && what != MOVE_PIECES && what != MOVE_WAIT &&
        what != MOVE_DEAF)
        be_disorderly();
    switch (what) {
    case MOVE_REQUEST_AND_WAIT:
        client.is_waiting = true;
        say_request();
        break;
    case MOVE_REQUEST:
        say_request();
        break;
    case MOVE_BEGIN:
        say_begin(id, input_byte(client.input) % 4, input_byte(client.input));
        break;
    case MOVE_PARAMS:
        say_pieces_of_params(id);
        break;
    case MOVE_BODY:
        say_body(id, input_length(client.input) % 4096);
        break;
    case MOVE_ABORT:
        say_record(ABORT_REQUEST, id, "", 0);
        break;
    case MOVE_QUESTION:
        say_record(GET_VALUES, 0, "\017\0FCGI_MPXS_CONNS\016\0FCGI_MAX_CONNS", 33);
        break;
    case MOVE_UNKNOWN:
        say_record(input_byte(client.input), id & 1, "what", 4);
        break;
    case MOVE_BYTES:
        say_bytes();
        break;
    case MOVE_HEAD:
        said_head(input_byte(client.input), input_byte(client.input),
                  input_length(client.input) % (RECORD_MOST + 1), input_byte(client.input));
        break;
    case MOVE_PIECES:
        client.piece = input_length(client.input);
        break;
    case MOVE_WAIT:
        client.is_waiting = true;
        break;
    case MOVE_DEAF:
        client.turns_deaf = input_byte(client.input) % MOST_TURNS_DEAF;
        break;
    case MOVE_SIGNAL:
        send_signal();
        break;
    case MOVE_TIME:
        clock_let_pass((input_byte(client.input) + 1U) * 500);
        break;
    case MOVE_END:
        end_sending();
        break;
    case MOVE_CLOSE:
    case MOVES:
        close_both(input_byte(client.input) & 1);
        break;
    }
}

/* Returns whether anything has come. */
static bool receive(void)
{
    static unsigned char bytes[128 * 1024];
    bool has_come = false;
    ssize_t size;

    if (client.turns_deaf) {
        client.turns_deaf--;
        return false;
    }
    while (client.in >= 0 && (size = read(client.in, bytes, sizeof bytes)) > 0) {
        answers_take(bytes, (size_t)size);
        has_come = true;
    }
    return has_come;
}

enum client_state client_turn(void)
{
    if (receive())
        return CLIENT_ACTED;
    if (client.in < 0)
        return CLIENT_SILENT;
    if (!client.has_ended && said_is_left())
        return said_send(client.out, client.piece) ? CLIENT_ACTED : CLIENT_WAITING;
    if (client.is_waiting && answers_outstanding() > 0)
        return CLIENT_WAITING;
    client.is_waiting = false;
    if (!input_is_over(client.input) && !client.has_ended) {
        move();
        if (said_is_cut())
            be_disorderly();
        return CLIENT_ACTED;
    }
    return answers_outstanding() > 0 || client.turns_deaf ? CLIENT_WAITING : CLIENT_SILENT;
}

bool client_lose_patience(void)
{
    if (client.in < 0 || (client.is_orderly && answers_outstanding() > 0))
        return false;
    if (!client.has_ended)
        end_sending();
    else
        close_both(false);
    return true;
}

void client_end(void)
{
    client.turns_deaf = 0;
    receive();
    answers_end(client.is_broken);
    if (client.is_orderly)
        check_that(answers_outstanding() == 0, "every request is answered");
    close_both(false);
}
