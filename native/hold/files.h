/*
 * The files that the program reads: each copy has positions of its own in them.
 *
 * Owns the list of them. Must not know what is in them. What the program writes to stays shared:
 * copies with positions of their own would write over each other.
 */
#ifndef SOCKETD_FILES_H
#define SOCKETD_FILES_H

/* Take note of what is open for reading only, and where. In the template, before it has anything of
 * ours. */
void files_note(void);

/* Open it anew at the same positions. In a copy. A file that cannot be opened stays shared. */
void files_separate(void);

#endif
