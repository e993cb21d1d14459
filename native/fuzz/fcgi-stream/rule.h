/*
 * Rules that hold whatever the input is.
 *
 * Owns where a broken one is reported. Must not know any rule.
 */
#ifndef SOCKETD_FUZZ_RULE_H
#define SOCKETD_FUZZ_RULE_H

#include <stdbool.h>

/* Report here from now on: where the report of a sanitizer goes. */
void report_to(int fd);

/* Say what is wrong, and stop. */
void check_that(bool is_so, const char *rule);

#endif
