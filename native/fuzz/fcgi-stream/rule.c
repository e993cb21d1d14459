#include "rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int report = STDERR_FILENO;

void report_to(int fd)
{
    report = fd;
}

void check_that(bool is_so, const char *rule)
{
    if (is_so)
        return;
    dprintf(report, "broken: %s\n", rule);
    abort();
}
