/*
 * The strings that the process was started with, as the kernel shows them (/proc/PID/environ).
 *
 * Owns where they end. Must not know what is in them.
 */
#ifndef SOCKETD_INITIAL_H
#define SOCKETD_INITIAL_H

/* Take a variable out of them, or, with the text of another value, put that into its place, which is
 * long enough. The last one leaves nothing behind; before others NULs are left. */
void initial_remove(char *variable);
void initial_replace(char *variable, const char *value);

#endif
