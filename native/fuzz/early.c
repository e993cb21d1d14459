/*
 * Fuzzes for how long an answer is held back.
 *
 * The input is a list of steps: input is taken or not, time passes, a fact becomes true. A model that
 * knows only the rule says whether the answer may go.
 */
#include "front/early.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { STILL_MS = 20000, STEP_MS = 997 };

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct early early;
    uint64_t now_ms = 1, still_since_ms = 0;
    bool has_gone = false;

    early_begin(&early);
    for (size_t i = 0; i < size; i++) {
        const struct early_facts facts = {
            .is_input_over = (input[i] & 7) == 5,
            .is_answer_whole = (input[i] & 7) == 6,
            .is_full = (input[i] & 7) == 7,
        };
        bool is_due, may_go;
        int patience;

        if ((input[i] & 7) < 2) {
            early_note_input(&early, input[i] & 1, now_ms);
            still_since_ms = input[i] & 1 ? 0 : still_since_ms ? still_since_ms : now_ms;
        }
        if ((input[i] & 7) == 2)
            now_ms += STEP_MS * (1 + (input[i] >> 3));
        is_due = still_since_ms && now_ms >= still_since_ms + STILL_MS;
        patience = early_patience(&early, now_ms);
        check(has_gone || !still_since_ms ? patience == -1
                                          : patience == (is_due ? 0 : (int)(still_since_ms + STILL_MS - now_ms)));
        may_go = early_may_go(&early, facts, now_ms);
        has_gone = has_gone || (input[i] & 7) >= 5 || is_due;
        check(may_go == has_gone);
    }
    return 0;
}
