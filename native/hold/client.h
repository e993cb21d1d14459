/*
 * The client of a copy on trial.
 *
 * Owns both ends of its connection, what it sends, and what it makes of the answer. Must not know how
 * a copy is made, nor what its end says.
 */
#ifndef SOCKETD_CLIENT_H
#define SOCKETD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { CLIENT_HEAD_SIZE = 1024 };

struct client {
    int request;    /* the file that it sends, -1 once that is done, or if it has left */
    int connection; /* -1 once it has left */
    int other_end;  /* the copy's */
    int children;   /* tells of a child's end */
    bool is_answered;            /* to the end */
    bool has_had_enough;         /* and has left before */
    size_t answer_bytes;
    char head[CLIENT_HEAD_SIZE]; /* of the answer, and a NUL */
};

/* For a copy that is not to talk to anybody. */
void client_stay_away(struct client *client);

/* To be called in the template, before the copy is made; false if the system does not let us. Without a
 * request (-1) the client has left already. */
bool client_arrive(struct client *client, int request);

/* In the copy: let go of all that is not its own end. */
void client_let_go(struct client *client);

/* In the template: talk to a child until it has ended or stopped. Returns its process id, or -1. */
pid_t client_talk(struct client *client, pid_t child, int *status);

#endif
