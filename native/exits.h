/*
 * The exit codes that are ours, of every native program and of a worker that does not get to its
 * program; docs/exit-codes.md says what follows from each.
 *
 * socketd/errors.py and socketd/workers/spawner.py have those that the master has to know, and a test holds
 * them against each other.
 */
#ifndef SOCKETD_EXITS_H
#define SOCKETD_EXITS_H

enum {
    EXIT_REFUSED = 65, /* EX_DATAERR of sysexits.h: a request, which has been answered so */
    EXIT_WRONG_CALL = 100,
    EXIT_SYSTEM = 111,
    EXIT_NOT_EXECUTABLE = 126, /* the shell's, as the next one */
    EXIT_NOT_FOUND = 127,
};

#endif
