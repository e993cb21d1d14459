/*
 * How many connections the source of a client has at this moment.
 *
 * Owns what a source is, and the counting. Must not know what becomes of a client.
 *
 * Nothing is counted up and down, so nothing can be forgotten: a source has as many connections as the
 * board has workers that serve a client of it. Who wants to be one more holds a lock from the count
 * until its own client stands on the board. It is one of the kernel, on the listener, which every
 * worker of the board has, and nobody else: the kernel takes it back from whoever dies.
 */
#ifndef SOCKETD_SOURCES_H
#define SOCKETD_SOURCES_H

#include "address.h"
#include "board.h"

#include <stdbool.h>

enum { SOURCES_NAME = 18 };

/* Be the only worker that counts. False if that cannot be; see errno. All signals are to be blocked:
 * closing any descriptor of the listener would give the lock back. */
bool sources_lock(int listener_fd);

void sources_unlock(int listener_fd);

/* Write what all clients of a source have in common: the family, and the bits of the address or the user. */
void sources_name(uint8_t name[SOURCES_NAME], struct gate_limit limit, const struct peer *client);

/* Tell whether a source may have one more connection. */
bool sources_have_room(const struct board *board, struct gate_limit limit, const struct peer *client);

/* Tell whether as many connections are served as there may be, of whatever sources. Those count, too, that
 * have waited for a place since before a time. */
bool sources_are_full(const struct board *board, uint64_t most, uint64_t before_ns);

/* The process ids of workers that serve, as many as there is room for. */
size_t sources_list(const struct board *board, pid_t *pids, size_t room);

#endif
