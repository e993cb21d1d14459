/*
 * What a copy of a held CPython needs beside a held C program.
 *
 * Owns the calls into the interpreter. Must not know how it is held.
 */
#ifndef SOCKETD_PYTHON_H
#define SOCKETD_PYTHON_H

/* Look for an interpreter in this process. To be called before main(). */
void python_find(void);

/* Run the hooks of a fork and set these variables in os.environ, if an interpreter runs. To be
 * called in a copy, by the main thread, from a system call. */
void python_refresh(char *const variables[]);

#endif
