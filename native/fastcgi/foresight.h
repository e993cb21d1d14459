/*
 * A look at the next request of a connection before anything of it is taken: a copy of the program that
 * it names may be the one to serve it.
 *
 * Owns that look. Must not know how a connection comes to another process, nor how one is served.
 */
#ifndef SOCKETD_FCGI_FORESIGHT_H
#define SOCKETD_FCGI_FORESIGHT_H

#include "conversation.h"

#include <stdbool.h>

/* Hand the connection on to a copy of the program that its next request names, if all of its head is
 * there and the program is a favourite of the service, other than its own. Only between two requests,
 * with nothing received that was not taken, and nothing that was not sent. Returns whether that was
 * done: nothing may be said or read any more. */
bool foresight_hand_on(struct conversation *conversation, int connection);

#endif
