/*
 * The board in the memory of a held program.
 *
 * Owns the mapping. Must not know what the board says.
 */
#ifndef SOCKETD_SHARE_H
#define SOCKETD_SHARE_H

#include "board.h"

#include <stdbool.h>

/* Map a board; false if that cannot be done, or if it is none. */
bool share_map(struct board *board, int fd);

#endif
