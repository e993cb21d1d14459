/*
 * A fork inherits no timers. A program that gives itself a minute to be told something would wait for
 * ever in a copy; so each copy has what was left of that minute when the program was held, from its
 * connection on.
 *
 * setitimer(2), and so alarm(2), has three timers for each process. Those of timer_create(2) have
 * numbers, which the program keeps: Ruby makes one at its start, for its threads, and aborts when it
 * is not there. The kernel tells what they are, and counts their numbers in each process from 0 on, so
 * a copy makes as many as it takes to get the same. One that starts a thread, or measures a thread, is
 * not made again.
 */
#include "timers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MOST_TIMERS = 8, HIGHEST_NUMBER = 63, TEXT_SIZE = 4096 };

static const char not_known[] = "the state of its timers is not known";
static const char not_made_again[] = "it has a timer (timer_create) that copies could not have";
static const char run_out[] = "a timer of its own has run out before it was held";

static const struct kind {
    int timer;
    int signal;
} kinds[] = {
    {ITIMER_REAL, SIGALRM},
    {ITIMER_VIRTUAL, SIGVTALRM},
    {ITIMER_PROF, SIGPROF},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static struct itimerval left[KINDS];

struct numbered {
    int number;
    int clock;
    struct sigevent event;
    struct itimerspec left;
};

static struct numbered numbered[MOST_TIMERS];
static int numbered_count;
static bool is_any_running;

static const char *stop_unnumbered(void)
{
    static const struct itimerval none;

    for (size_t i = 0; i < KINDS; i++) {
        if (setitimer(kinds[i].timer, &none, &left[i]) < 0)
            return not_known;
        is_any_running |= left[i].it_value.tv_sec || left[i].it_value.tv_usec;
    }
    return NULL;
}

/* Go on behind a word, if it comes next. */
static bool pass(const char **text, const char *word)
{
    const size_t length = strlen(word);

    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static int digit_of(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : 16;
}

static uintptr_t take_number(const char **text, int base)
{
    uintptr_t number = 0;

    for (; digit_of(**text) < base; ++*text)
        number = number * (uintptr_t)base + (uintptr_t)digit_of(**text);
    return number;
}

/* Four lines of proc_pid_timers(5); false if that is none, or one that no copy could have. */
static bool take_timer(const char **text, struct numbered *timer)
{
    const char *at = *text;

    memset(timer, 0, sizeof *timer);
    if (!pass(&at, "ID: "))
        return false;
    timer->number = (int)take_number(&at, 10);
    if (!pass(&at, "\nsignal: "))
        return false;
    timer->event.sigev_signo = (int)take_number(&at, 10);
    if (!pass(&at, "/"))
        return false;
    timer->event.sigev_value.sival_ptr = (void *)take_number(&at, 16);
    if (pass(&at, "\nnotify: signal/pid."))
        timer->event.sigev_notify = SIGEV_SIGNAL;
    else if (pass(&at, "\nnotify: none/pid."))
        timer->event.sigev_notify = SIGEV_NONE;
    else
        return false;
    take_number(&at, 10);
    if (!pass(&at, "\nClockID: "))
        return false;
    timer->clock = (int)take_number(&at, 10); /* of a thread's or another process's it is negative */
    *text = at;
    return pass(text, "\n") && timer->number <= HIGHEST_NUMBER;
}

static const char *find_numbered(void)
{
    static char text[TEXT_SIZE];
    const char *at = text;
    struct itimerspec found;
    int fd = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
    ssize_t size;

    numbered_count = 0;
    if (fd < 0) { /* it has another root, or the kernel does not tell */
        for (int number = 0; number <= HIGHEST_NUMBER; number++)
            if (syscall(SYS_timer_gettime, number, &found) == 0)
                return not_made_again;
        return NULL;
    }
    size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size < 0 || size == sizeof text - 1)
        return not_known;
    text[size] = '\0';
    while (*at)
        if (numbered_count == MOST_TIMERS || !take_timer(&at, &numbered[numbered_count++]))
            return not_made_again;
    return NULL;
}

static const char *stop_numbered(void)
{
    static const struct itimerspec none;

    for (int i = 0; i < numbered_count; i++) {
        struct itimerspec *rest = &numbered[i].left;

        if (syscall(SYS_timer_settime, numbered[i].number, 0, &none, rest) < 0)
            return not_known;
        is_any_running |= rest->it_value.tv_sec || rest->it_value.tv_nsec;
    }
    return NULL;
}

/* A signal that waits is not inherited either. */
static const char *find_pending(void)
{
    sigset_t pending;

    sigpending(&pending);
    for (size_t i = 0; i < KINDS; i++)
        if (sigismember(&pending, kinds[i].signal))
            return run_out;
    for (int i = 0; i < numbered_count; i++)
        if (numbered[i].event.sigev_notify == SIGEV_SIGNAL &&
            sigismember(&pending, numbered[i].event.sigev_signo) == 1)
            return run_out;
    return NULL;
}

const char *timers_stop(void)
{
    const char *reason;

    is_any_running = false;
    if ((reason = stop_unnumbered()) || (reason = find_numbered()) || (reason = stop_numbered()))
        return reason;
    return find_pending();
}

/* The kernel lists them in no order that it promises, so each is looked for among all. */
static struct numbered *find_number(int number)
{
    for (int i = 0; i < numbered_count; i++)
        if (numbered[i].number == number)
            return &numbered[i];
    return NULL;
}

bool timers_make(void)
{
    for (int number = 0, made = 0; made < numbered_count; number++) {
        static const struct sigevent silent = {.sigev_notify = SIGEV_NONE};
        struct numbered *timer = find_number(number);
        int found;

        if (syscall(SYS_timer_create, timer ? timer->clock : CLOCK_MONOTONIC,
                    timer ? &timer->event : &silent, &found) < 0)
            return false;
        if (found != number) {
            errno = EBUSY;
            return false;
        }
        if (timer)
            made++;
        else
            syscall(SYS_timer_delete, found);
    }
    return true;
}

void timers_start(void)
{
    if (!is_any_running)
        return;
    for (size_t i = 0; i < KINDS; i++)
        if (left[i].it_value.tv_sec || left[i].it_value.tv_usec)
            setitimer(kinds[i].timer, &left[i], NULL);
    for (int i = 0; i < numbered_count; i++)
        syscall(SYS_timer_settime, numbered[i].number, 0, &numbered[i].left, NULL);
}
