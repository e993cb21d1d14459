/*
 * A copy of the program, from its connection back into the program.
 *
 * Owns the way back: what of ours goes, and what of the program's is put in place. Must not know
 * where the program is held.
 */
#ifndef SOCKETD_COPY_H
#define SOCKETD_COPY_H

#include "front/front.h"
#include "front/keeper.h"
#include "wired.h"
#include "worker.h"

enum { NAME_SIZE = 16 };

/* What every copy inherits from its template. */
struct original {
    struct twins wired;   /* to be the connection */
    struct twins logging; /* to be a socket of the copy's own that leads to the system's log */
    char name[NAME_SIZE]; /* of the process */
    char *greeting;       /* what the program had written before */
    size_t greeting_size;
    int dumpable; /* what PR_GET_DUMPABLE said */
};

/* What the program is to have in place of what stood for its connection. */
struct streams {
    int input;  /* where descriptor 0 is; and with a connection */
    int output; /* all else that stood for that */
    int errors; /* descriptor 2, if that is open; -1 leaves it */
};

/* Keep what the program has written so far, which waits in its socket's other end; that is closed. Returns
 * false if there is no memory for it. To be called in the template. */
bool copy_take_greeting(struct original *original, int other_end);

/* Put the streams into the program and remove ourselves from it. With a keeper, which has its carriage,
 * that stays behind the program, and this returns in a child; `front` says for how long it waits for an
 * answer. To be called with all signals blocked and
 * every disposition at its default, and returns with signals blocked. */
void copy_release(const struct original *original, struct worker *worker,
                  const struct streams *streams, struct keeper *keeper, const struct front *front);

#endif
