/*
 * What the program has set on its connection before there was one.
 *
 * Owns the list of it, and how it gets to a real connection. Must not know when that comes.
 */
#ifndef SOCKETD_OPTIONS_H
#define SOCKETD_OPTIONS_H

/* Find what is set on the socket that stands for the connection. To be called in the template, once.
 * Return what forbids to hold the program, or NULL. */
const char *options_find(int stand_in);

/* Set the same on a connection; costs nothing where nothing was set. */
void options_set(int connection);

#endif
