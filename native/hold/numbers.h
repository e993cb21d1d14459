/*
 * Random numbers that a program has begun to draw, and process ids that it remembers.
 *
 * Owns what programs and libraries export by which that can be made a copy's own. Must not know how a
 * copy is made.
 */
#ifndef SOCKETD_NUMBERS_H
#define SOCKETD_NUMBERS_H

/* Look for it. To be called in the template, when it is held in its main(). */
void numbers_find(void);

/* Return why it cannot be renewed, NULL if it can, or nobody knows of it. */
const char *numbers_obstacle(void);

/* Renew it. To be called in a copy. */
void numbers_renew(void);

#endif
