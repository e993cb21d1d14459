/*
 * The kernel closes the descriptors of a process that ends after it has taken down its memory, and
 * with the memory of a copy that takes a tenth of a millisecond, in which the client waits for
 * the end of the answer. So they are closed a moment before, in the last function of exit().
 *
 * What is registered first is called last: behind atexit(), destructors and what libraries do at
 * their end, because the loader is registered when main() is about to be called. All that
 * exit() would do afterwards is to write what is left in the program's streams, so that is done here.
 * Nothing can use the descriptors then. With a second thread something could, and a stream could be
 * locked for ever; then all is left to the kernel. So it is with a program that ends by _exit(), or by
 * a signal.
 */
#include "closing.h"

#include <stdio.h>
#include <unistd.h>

#if defined(__GLIBC__)

extern int __cxa_atexit(void (*function)(void *), void *argument, void *object);
extern char __libc_single_threaded __attribute__((weak)); /* since 2.32 */

static void close_connection(void *unused)
{
    (void)unused;
    if (!&__libc_single_threaded || !__libc_single_threaded)
        return;
    fflush(NULL);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
}

void closing_prepare(void)
{
    __cxa_atexit(close_connection, NULL, NULL); /* of no object: not when ours is unloaded */
}

#else

void closing_prepare(void)
{
}

#endif
