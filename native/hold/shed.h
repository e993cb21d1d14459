/*
 * A process that never gets back into the program gives up the memory that only the program needs.
 *
 * Owns which memory that is. Must not know why the process stays.
 */
#ifndef SOCKETD_SHED_H
#define SOCKETD_SHED_H

/* Give it up, where that is safe. Afterwards nothing may be called that allocates, that looks at a locale,
 * or that is the program's. */
void shed_memory(void);

#endif
