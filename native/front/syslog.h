/*
 * The system's log as a descriptor that a program can have as its standard error.
 *
 * Owns the address. Must not know who writes.
 */
#ifndef SOCKETD_SYSLOG_H
#define SOCKETD_SYSLOG_H

/* Return a datagram socket on which each write is one message, or /dev/null without a log; -1
 * with errno set if there is neither. It is close-on-exec. */
int syslog_open(void);

#endif
