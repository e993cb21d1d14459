#include "early.h"

#include "clock.h"

/* Longer than a program pauses that is about to read on, shorter than the minute that web servers
 * wait for an answer. */
enum { STILL_MS = 20000 };

void early_begin(struct early *early)
{
    *early = (struct early){.is_held = true};
}

void early_note_input(struct early *early, bool is_taken, uint64_t now_ms)
{
    if (is_taken)
        early->still_since_ms = 0;
    else if (!early->still_since_ms)
        early->still_since_ms = now_ms;
}

bool early_may_go(struct early *early, struct early_facts facts, uint64_t now_ms)
{
    if (facts.is_input_over || facts.is_answer_whole || facts.is_full ||
        early_patience(early, now_ms) == 0)
        early->is_held = false;
    return !early->is_held;
}

int early_patience(const struct early *early, uint64_t now_ms)
{
    const uint64_t due_ms = early->still_since_ms + STILL_MS;

    if (!early->is_held || !early->still_since_ms)
        return -1;
    return clock_left_ms(due_ms, now_ms);
}
