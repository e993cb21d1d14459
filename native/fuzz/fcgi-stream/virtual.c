#include "virtual.h"

#include "clock.h"
#include "client.h"
#include "pool_side.h"
#include "rule.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

enum {
    SLICE_MS = 5,
    SLICES_FOR_TIME = 2,     /* in which nobody does anything, and the next moment is skipped to */
    SLICES_OF_PATIENCE = 5,  /* the client's, where not all is as it should be */
    MOST_IDLE = 4000,        /* slices: on a machine that does something else meanwhile */
    MOST_READY = 4000,
    MS = 1000000,
};

int __real_ppoll(struct pollfd *polls, nfds_t count, const struct timespec *limit,
                 const sigset_t *mask);
int __real_poll(struct pollfd *polls, nfds_t count, int limit_ms);
int __wrap_ppoll(struct pollfd *polls, nfds_t count, const struct timespec *limit,
                 const sigset_t *mask);
int __wrap_poll(struct pollfd *polls, nfds_t count, int limit_ms);

static unsigned idle_in_a_row; /* looks at which nobody had anything to do */
static unsigned ready_in_a_row; /* and at which only the wrapper had, as it seems */

void virtual_begin(void)
{
    idle_in_a_row = ready_in_a_row = 0;
}

static const struct timespec at_once, slice = {.tv_nsec = SLICE_MS * MS};

/* Wait as the wrapper does, `limit_ms` of its time, and let the others act. */
static int wait_for(struct pollfd *polls, nfds_t count, int64_t limit_ms, const sigset_t *mask)
{
    const int64_t until_ms = clock_ahead_ms() + limit_ms;
    unsigned idle_slices = 0;

    for (;;) {
        enum client_state client = client_turn();
        bool is_moving = pool_side_turn() || client == CLIENT_ACTED;
        int ready = __real_ppoll(polls, count, is_moving || limit_ms == 0 ? &at_once : &slice, mask);

        if (ready != 0 || is_moving)
            idle_in_a_row = 0;
        if (ready <= 0 || is_moving)
            ready_in_a_row = 0;
        check_that(idle_in_a_row++ < MOST_IDLE, "nothing is waited for without an end");
        check_that(ready_in_a_row++ < MOST_READY, "nobody is woken by what is known");
        if (ready != 0 || (limit_ms >= 0 && clock_ahead_ms() >= until_ms))
            return ready;
        if (is_moving)
            continue;
        idle_slices++;
        if (client == CLIENT_SILENT && client_lose_patience())
            continue;
        if (limit_ms >= 0 && idle_slices >= SLICES_FOR_TIME) {
            clock_let_pass(until_ms - clock_ahead_ms());
            return 0;
        }
        if (idle_slices % SLICES_OF_PATIENCE == 0)
            client_lose_patience();
    }
}

int __wrap_ppoll(struct pollfd *polls, nfds_t count, const struct timespec *limit,
                 const sigset_t *mask)
{
    return wait_for(polls, count, limit ? limit->tv_sec * 1000 + limit->tv_nsec / MS : -1, mask);
}

int __wrap_poll(struct pollfd *polls, nfds_t count, int limit_ms)
{
    return wait_for(polls, count, limit_ms, NULL);
}
