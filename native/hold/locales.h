/*
 * The locale that the program will choose, read once for all copies.
 *
 * Owns the moment at which libc reads its files. Must not know what is in them, nor what the program
 * makes of them: it finds them when it calls setlocale(), and only if it does.
 */
#ifndef SOCKETD_LOCALES_H
#define SOCKETD_LOCALES_H

/* Have libc read the locale that the environment names. To be called before main(). */
void locales_read(void);

#endif
