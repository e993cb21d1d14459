/*
 * The thread that is held, as libc and the kernel know it.
 *
 * Owns what a clone leaves as it was for the template, or takes away. Must not know what the program is.
 */
#ifndef SOCKETD_THREAD_H
#define SOCKETD_THREAD_H

#include <sys/types.h>

/* Return where libc keeps the id of this thread, NULL if that is not known. To be called in the
 * template. */
pid_t *thread_find_id(void);

/* Tell the kernel what libc had told it. To be called in a copy, which was cloned with that id. */
void thread_renew(void);

#endif
