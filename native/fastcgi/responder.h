/*
 * The Responder of FastCGI 1.0: one connection's requests, one after another.
 *
 * Owns the loop, and what ends it. Must not know what a record means, how records are written,
 * programs started or descriptors read: the files beside this one do.
 */
#ifndef SOCKETD_RESPONDER_H
#define SOCKETD_RESPONDER_H

#include "conversation.h"

enum { RESPONDER_FAILED = -1, RESPONDER_DIVIDED = -2, RESPONDER_HANDED_ON = -3 };

/* Serve a connection, one descriptor or two, to its end, in a conversation that is all zero. Signals are
 * to be noted. Returns 0, or the number of the signal that has ended it before, or RESPONDER_FAILED
 * with errno set if the system has, or RESPONDER_DIVIDED in a child that the service has prepared, or
 * RESPONDER_HANDED_ON if another process serves the connection from now on. */
int responder_run(struct conversation *conversation, const struct service *service, int input_fd,
                  int output_fd);

#endif
