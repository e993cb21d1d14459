#include "clock.h"

#include <time.h>

enum { MS = 1000000 };

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static int64_t ahead_ms;

void clock_let_pass(int64_t milliseconds)
{
    ahead_ms += milliseconds;
}

int64_t clock_ahead_ms(void)
{
    return ahead_ms;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    now->tv_sec += ahead_ms / 1000;
    now->tv_nsec += ahead_ms % 1000 * MS;
    if (now->tv_nsec >= 1000 * MS) {
        now->tv_sec++;
        now->tv_nsec -= 1000 * MS;
    }
    return result;
}
