#include "outcome.h"

enum { INPUT_FD, OUTPUT_FD, ERROR_FD, SIGNALLED = 128, TERMINATED_BY = 15 };

struct run {
    struct outcome outcome;
    const unsigned char *body;
    size_t left;
    bool is_closed[3];
    bool holds_out;
    bool is_over;
};

void stream_add(struct stream *stream, const void *bytes, size_t length)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < length; i++)
        stream->hash = (stream->hash ^ byte[i]) * 0x100000001b3U;
    stream->length += length;
}

static void add_pattern(struct stream *stream, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = plan_pattern(i);

        stream_add(stream, &byte, 1);
    }
}

static void take(struct run *run, size_t length)
{
    if (run->is_closed[INPUT_FD])
        return;
    length = length < run->left ? length : run->left;
    run->body += length;
    run->left -= length;
}

static void die(struct run *run, int number)
{
    if (number == TERMINATED_BY && run->holds_out)
        return;
    run->outcome.status = SIGNALLED + (unsigned)number;
    run->outcome.has_report = true;
    run->is_over = true;
}

static void follow(struct run *run, unsigned byte, bool is_pool)
{
    unsigned argument = byte & 15;

    switch (plan_step(byte)) {
    case PLAN_READ:
        take(run, plan_length(argument));
        break;
    case PLAN_WRITE:
        if (!run->is_closed[OUTPUT_FD])
            add_pattern(&run->outcome.answer, plan_length(argument));
        break;
    case PLAN_COMPLAIN:
        if (!run->is_closed[ERROR_FD] && !is_pool)
            add_pattern(&run->outcome.complaint, plan_length(argument));
        break;
    case PLAN_COPY:
        if (!run->is_closed[OUTPUT_FD] && !run->is_closed[INPUT_FD])
            stream_add(&run->outcome.answer, run->body, run->left);
        take(run, run->left);
        break;
    case PLAN_CLOSE:
        if (!is_pool)
            run->is_closed[argument % 3] = true;
        break;
    case PLAN_EXIT:
        run->outcome.status = is_pool ? 0 : argument;
        run->is_over = true;
        break;
    case PLAN_DIE:
        if (is_pool)
            run->is_over = true;
        else
            die(run, plan_signals[argument % PLAN_SIGNALS]);
        break;
    case PLAN_HOLD_OUT:
        run->holds_out = true;
        break;
    case PLAN_DAWDLE:
        run->outcome.is_endless = argument == PLAN_FOR_EVER;
        run->is_over = run->outcome.is_endless;
        break;
    default:
        break;
    }
}

struct outcome outcome_of(const uint8_t *plan, size_t steps, bool is_pool, const unsigned char *body,
                          size_t length)
{
    struct run run = {.body = body, .left = length};

    for (size_t i = 0; i < steps && !run.is_over; i++)
        follow(&run, plan[i], is_pool);
    run.outcome.has_report = run.outcome.has_report || run.outcome.answer.length == 0;
    return run.outcome;
}
