/*
 * An answer that begins before its request has been said whole.
 *
 * Owns for how long it is held back. Must not know how bytes are carried.
 *
 * nginx sends no more of a request once an answer has begun. A program that writes its head and then
 * reads its body, as git http-backend does for a push, would wait for the rest for ever. So the
 * answer waits for the end of the input. But a program may also answer without reading its input:
 * the answer goes out once there is no more room for it, once it is whole, once nobody reads the
 * input, or once nothing of that has moved for long.
 */
#ifndef SOCKETD_EARLY_H
#define SOCKETD_EARLY_H

#include <stdbool.h>
#include <stdint.h>

struct early {
    bool is_held;
    uint64_t still_since_ms; /* when the program took nothing of its input any more; 0: it does */
};

struct early_facts {
    bool is_input_over;   /* all of it has been passed on, or nobody takes it */
    bool is_answer_whole; /* nothing more comes of it */
    bool is_full;         /* no more of it can be kept */
};

/* Hold an answer back from now on. */
void early_begin(struct early *early);

/* Input waits for the program, which has or has not taken some. */
void early_note_input(struct early *early, bool is_taken, uint64_t now_ms);

/* Tell whether the answer may go, which it may from then on. */
bool early_may_go(struct early *early, struct early_facts facts, uint64_t now_ms);

/* Return after how many milliseconds it may if nothing happens, -1 for never. */
int early_patience(const struct early *early, uint64_t now_ms);

#endif
