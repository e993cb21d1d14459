/*
 * What a copy of a held CPython needs beside a held C program.
 *
 * Owns the calls into the interpreter. Must not know how it is held.
 */
#ifndef SOCKETD_PYTHON_H
#define SOCKETD_PYTHON_H

/* Look for an interpreter in this process. To be called before main(). */
void python_find(void);

/* Return why copies of the interpreter in this process would not be right, NULL if they are. */
const char *python_obstacle(void);

/* Make ready for copies, if an interpreter runs. To be called in the template, by the main thread,
 * from a system call; as is what follows, in a copy. */
void python_prepare(void);

/* Run the hooks of a fork, if an interpreter runs. */
void python_after_fork(void);

/* Set these variables in os.environ. */
void python_add(char *const variables[]);

/* Call what the script has given to socketd.hold.after_fork(). Does not return if that fails. */
void python_call_hooks(void);

#endif
