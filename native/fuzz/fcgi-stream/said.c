#include "said.h"

#include "answers.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    SAID_SIZE = 1024 * 1024,
    HEAD_SIZE = 8,
    BEGIN_REQUEST = 1,
};

static struct {
    unsigned char bytes[SAID_SIZE];
    size_t size;
    size_t sent;
    size_t record_at; /* where the next record begins that has not been sent yet */
    bool is_nonsense; /* what has been sent cannot be read as records any more */
    bool is_cut;
} said;

void said_begin(void)
{
    said.size = said.sent = said.record_at = 0;
    said.is_nonsense = said.is_cut = false;
}

void said_add(const void *bytes, size_t length)
{
    if (length > SAID_SIZE - said.size) {
        said.is_cut = true;
        length = SAID_SIZE - said.size;
    }
    memcpy(said.bytes + said.size, bytes, length);
    said.size += length;
}

void said_head(unsigned type, unsigned id, size_t length, unsigned padding)
{
    const unsigned char head[HEAD_SIZE] = {1,
                                           (unsigned char)type,
                                           (unsigned char)(id >> 8),
                                           (unsigned char)id,
                                           (unsigned char)(length >> 8),
                                           (unsigned char)length,
                                           (unsigned char)padding,
                                           0};

    said_add(head, sizeof head);
}

void said_record(unsigned type, unsigned id, const void *content, size_t length, unsigned padding)
{
    static const unsigned char zeros[256];

    said_head(type, id, length, padding);
    said_add(content, length);
    said_add(zeros, padding);
}

bool said_is_cut(void)
{
    return said.is_cut;
}

bool said_is_left(void)
{
    return said.sent < said.size;
}

/* Note what begins in what has been sent by now. */
static void follow_records(void)
{
    while (!said.is_nonsense && said.record_at + HEAD_SIZE <= said.sent) {
        const unsigned char *head = said.bytes + said.record_at;
        unsigned id = (unsigned)head[2] << 8 | head[3];

        said.is_nonsense = head[0] != 1;
        if (said.is_nonsense)
            return;
        if (id == 0)
            answers_note_question();
        else if (head[1] == BEGIN_REQUEST)
            answers_note_begin(id);
        said.record_at += HEAD_SIZE + ((size_t)head[4] << 8 | head[5]) + head[6];
    }
}

bool said_send(int fd, size_t piece)
{
    size_t left = said.size - said.sent;
    size_t length = piece && piece < left ? piece : left;
    ssize_t size = write(fd, said.bytes + said.sent, length);

    if (size < 0 && errno == EAGAIN)
        return false;
    /* Who does not take it any more may well have answered. */
    said.sent += size < 0 ? left : (size_t)size;
    follow_records();
    if (said.sent == said.size && said.record_at == said.size)
        said.size = said.sent = said.record_at = 0;
    return true;
}
