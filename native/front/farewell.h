/*
 * The end of a connection whose peer may still be sending what nobody will read.
 *
 * Owns the order of that end. Must not know what was said before.
 */
#ifndef SOCKETD_FAREWELL_H
#define SOCKETD_FAREWELL_H

/* Tell the peer that all is said, and take what it still sends until it is done too, or silent for
 * a second, or half a minute has passed. Does nothing to what is no socket. */
void farewell_say(int connection);

/* Leave a parent of this process behind, which ends as this one does and says farewell before.
 * Returns in the child; where there can be none, in this process. Dispositions are to be at their
 * defaults; the parent blocks no signal. */
void farewell_leave_to_parent(int connection);

#endif
