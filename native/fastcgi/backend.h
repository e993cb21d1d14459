/*
 * What carries out one request: a program with three pipes, or one connection to a pool.
 *
 * Owns the descriptors and the process. Must not know of records.
 */
#ifndef SOCKETD_BACKEND_H
#define SOCKETD_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct backend {
    int body_fd;   /* takes the body of the request; -1 once that is over */
    int answer_fd; /* gives the answer; -1 after its end */
    int stderr_fd; /* gives what goes into the web server's log; -1 after its end, or without */
    bool is_socket; /* the first two are one connection */
    pid_t group;      /* of the program's processes; 0 for a pool */
    const char *name; /* for the log */
    int error;        /* why the system did not let it begin */
    bool has_exited;
    int wait_status;  /* of the program, once it has exited */
    const char *head; /* to be written before the body */
    size_t head_left;
    bool is_body_over; /* once the head has been written there is no more */
};

/* Write a piece of the body, as much as goes without waiting. Returns how much has been taken,
 * which is all of it once nobody wants any. */
size_t backend_write(struct backend *backend, const void *piece, size_t length);

/* Write on with the head. Returns whether it has been written. */
bool backend_write_head(struct backend *backend);

/* The body has ended. */
void backend_end_body(struct backend *backend);

/* Read from answer_fd or stderr_fd, which is readable or has hung up. Returns 0 at its end, which
 * closes it, or -1 if there is nothing after all. */
ssize_t backend_read(struct backend *backend, int *fd, void *buffer, size_t size);

/* Wait, without waiting, for whatever child has ended: the program, or what it has left behind. */
void backend_reap(struct backend *backend);

/* Close everything towards the backend. */
void backend_close(struct backend *backend);

/* The same, and send its processes a signal. */
void backend_signal(struct backend *backend, int number);

/* Tell whether no process of the program is left. */
bool backend_is_over(const struct backend *backend);

/* Return the exit status as a shell has it. */
unsigned backend_status(const struct backend *backend);

#endif
