/*
 * The end of a copy: the client hears of it before its memory is taken down.
 *
 * Owns the last thing that exit() does. Must not know what the program is, nor why it ends.
 */
#ifndef SOCKETD_CLOSING_H
#define SOCKETD_CLOSING_H

/* Have exit() close the connection when nothing of the program runs any more. To be called before main(). */
void closing_prepare(void);

#endif
