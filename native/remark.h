/*
 * What a front has to say of a request, on the board: the master logs it, and not too often.
 *
 * Owns the way from a note to a remark. Must not know what becomes of either.
 */
#ifndef SOCKETD_REMARK_H
#define SOCKETD_REMARK_H

#include "front/note.h"

/* Leave a note on the board of a worker; to be called with `const struct worker *`, as struct front does. */
void remark_write(const void *worker, const struct note *note);

#endif
