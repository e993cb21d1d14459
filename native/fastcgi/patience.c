#include "patience.h"

#include "front/clock.h"

static void set(struct patience *patience, int limit_ms)
{
    patience->deadline_ms = clock_ms() + (uint64_t)limit_ms;
}

void patience_begin(struct patience *patience)
{
    patience->what = PATIENCE_FOR_A_HEAD;
    set(patience, patience->head_limit_ms);
}

void patience_wait_for(struct patience *patience, enum patience_for what)
{
    /* What has begun to come stays begun: a question, a request that is refused for its role or
     * taken back is no request that was carried out. */
    if (patience->is_over || what == patience->what ||
        (patience->what == PATIENCE_FOR_A_HEAD && what != PATIENCE_FOR_NOTHING))
        return;
    patience->what = what;
    patience->deadline_ms = 0;
    if (what == PATIENCE_FOR_SILENCE)
        set(patience, patience->keep_limit_ms);
    else if (what == PATIENCE_FOR_A_HEAD)
        set(patience, patience->head_limit_ms);
}

int patience_left_ms(const struct patience *patience)
{
    return patience->deadline_ms ? clock_left_ms(patience->deadline_ms, clock_ms()) : -1;
}

void patience_end(struct patience *patience, int limit_ms)
{
    if (!patience->is_over)
        set(patience, limit_ms);
    patience->is_over = true;
}
