#include "remark.h"

#include "worker.h"

#include <string.h>

static void copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);

    memcpy(to, from, length < size ? length : size);
}

static uint16_t number_of(const char *status)
{
    uint16_t number = 0;

    for (; *status >= '0' && *status <= '9'; status++)
        number = (uint16_t)(number * 10 + (*status - '0'));
    return number;
}

void remark_write(const void *worker, const struct note *note)
{
    const struct worker *whose = worker;
    struct board_remark remark = {
        .count = (uint16_t)(note->count < UINT16_MAX ? note->count : UINT16_MAX)};

    if (note->refused) {
        remark.status = number_of(note->refused->status);
        copy(remark.reason, sizeof remark.reason, note->refused->reason);
    }
    copy(remark.name, sizeof remark.name, note->name);
    copy(remark.trace, sizeof remark.trace, note->trace);
    board_write_remark(&whose->board, whose->number,
                       note->refused ? REMARK_REFUSED
                       : note->count ? REMARK_LEFT_OUT
                                     : REMARK_TRACED,
                       &remark);
}
