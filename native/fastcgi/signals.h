/*
 * What signals ask of a connection: to stop, to take on nothing more, or to look at a child.
 *
 * Owns the handlers and the mask. Must not know what is done then.
 */
#ifndef SOCKETD_SIGNALS_H
#define SOCKETD_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Have signals noted. They are blocked from now on but with the mask to wait with. Every disposition is to
 * be the default before: what is ignored would stay so in programs. What is blocked and pending is
 * noted later. */
void signals_note(void);

/* Return the mask to wait with. */
const sigset_t *signals_while_waiting(void);

/* Undo it, in a child of a process that has signals noted. All are blocked afterwards. */
void signals_forget(void);

/* Return the number of the signal that has asked to stop, 0 if none has. */
int signals_stop(void);

/* Tell whether the server wants no further request to be begun: it stops, or has been reloaded. */
bool signals_ask_to_finish(void);

#endif
