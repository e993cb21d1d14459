#include "pool_side.h"

#include "input.h"
#include "plan.h"
#include "rule.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 16, BACKLOG = 64, PIECE_SIZE = 32 * 1024, MOST_LISTENERS = 2 };

struct served {
    int fd;
    size_t head_size;
    bool has_head;
    size_t step;
    size_t left; /* of that step */
    bool has_begun;
    size_t piece_size;
    size_t piece_at;
    char head[POOL_HEAD_SIZE];
    unsigned char piece[PIECE_SIZE];
};

static struct {
    int listeners[MOST_LISTENERS];
    size_t listeners_count;
    const uint8_t *plan;
    size_t steps;
    struct served served[MOST_CONNECTIONS];
    size_t count;
} side;

void pool_side_listen(int family, struct pool *pool)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = family == AF_UNIX ? sizeof(sa_family_t) : sizeof address;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    address.sin_family = (sa_family_t)family;
    pool->address_size = sizeof pool->address;
    check_that(fd >= 0 && bind(fd, (const struct sockaddr *)&address, size) == 0 &&
                   listen(fd, BACKLOG) == 0 &&
                   getsockname(fd, (struct sockaddr *)&pool->address, &pool->address_size) == 0,
               "there is a pool");
    side.listeners[side.listeners_count++] = fd;
}

void pool_side_begin(const uint8_t *plan, size_t steps)
{
    side.plan = plan;
    side.steps = steps;
}

static void end(struct served *served, bool is_reset)
{
    const struct linger at_once = {.l_onoff = 1};

    if (is_reset)
        setsockopt(served->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(served->fd);
    served->fd = -1;
}

/* Byte by byte: what is behind it is the body. */
static bool read_head(struct served *served)
{
    size_t length = 0, at = 0;
    char *head = served->head;
    ssize_t size = recv(served->fd, head + served->head_size, 1, 0);

    if (size <= 0) {
        if (size == 0 || errno != EAGAIN)
            end(served, false);
        return size == 0;
    }
    served->head_size++;
    while (at < served->head_size && head[at] >= '0' && head[at] <= '9')
        length = length * 10 + (size_t)(head[at++] - '0');
    check_that(at > 0 && at < 8 && (at == served->head_size || head[at] == ':'),
               "the head of a request for a pool is a netstring");
    if (at == served->head_size || served->head_size < at + 1 + length + 1)
        return true;
    check_that(head[at + 1 + length] == ',' && memcmp(head + at + 1, "CONTENT_LENGTH", 15) == 0,
               "it begins with the length of the body, and ends with a comma");
    served->has_head = true;
    return true;
}

/* Returns false if nothing could be written. */
static bool write_some(struct served *served, const unsigned char *bytes, size_t length,
                       size_t *written)
{
    ssize_t size = send(served->fd, bytes, length, MSG_NOSIGNAL);

    *written = size < 0 ? 0 : (size_t)size;
    if (size < 0 && errno != EAGAIN)
        end(served, false);
    return size >= 0 || errno != EAGAIN;
}

static bool write_pattern(struct served *served, size_t length)
{
    size_t at = length - served->left, size = served->left, written;

    if (size > PIECE_SIZE)
        size = PIECE_SIZE;
    for (size_t i = 0; i < size; i++)
        served->piece[i] = plan_pattern(at + i);
    if (!write_some(served, served->piece, size, &written))
        return false;
    served->left -= written;
    return true;
}

/* Returns false if there was nothing, and nothing is to come. */
static bool read_piece(struct served *served, size_t most, ssize_t *size)
{
    *size = recv(served->fd, served->piece, most < PIECE_SIZE ? most : PIECE_SIZE, 0);
    return *size > 0 || (*size < 0 && errno == EAGAIN);
}

static bool copy(struct served *served, bool *is_done)
{
    size_t written;
    ssize_t size;

    *is_done = false;
    if (served->piece_at < served->piece_size) {
        if (!write_some(served, served->piece + served->piece_at,
                        served->piece_size - served->piece_at, &written))
            return false;
        served->piece_at += written;
        return true;
    }
    served->piece_at = served->piece_size = 0;
    *is_done = !read_piece(served, PIECE_SIZE, &size);
    served->piece_size = size > 0 ? (size_t)size : 0;
    return size >= 0;
}

static bool read_some(struct served *served, bool *is_done)
{
    ssize_t size;

    *is_done = !read_piece(served, served->left, &size);
    if (size > 0)
        served->left -= (size_t)size;
    *is_done = *is_done || served->left == 0;
    return size >= 0;
}

/* Returns whether anything could be done. */
static bool follow(struct served *served)
{
    unsigned byte = side.plan[served->step];
    bool is_done = true, is_moving = true;

    if (!served->has_begun)
        served->left = plan_length(byte & 15);
    served->has_begun = true;
    switch (plan_step(byte)) {
    case PLAN_READ:
        is_moving = read_some(served, &is_done);
        break;
    case PLAN_WRITE:
        is_moving = write_pattern(served, plan_length(byte & 15));
        is_done = served->left == 0;
        break;
    case PLAN_COPY:
        is_moving = copy(served, &is_done);
        break;
    case PLAN_EXIT:
    case PLAN_DIE:
        end(served, plan_step(byte) == PLAN_DIE);
        break;
    case PLAN_DAWDLE:
        is_done = (byte & 15) != PLAN_FOR_EVER;
        is_moving = false;
        break;
    default:
        break;
    }
    if (is_done) {
        served->step++;
        served->has_begun = false;
    }
    return is_moving || is_done;
}

static bool serve(struct served *served)
{
    bool has_moved = false;

    while (served->fd >= 0) {
        if (served->has_head && served->step == side.steps)
            end(served, false);
        else if (!(served->has_head ? follow(served) : read_head(served)))
            break;
        has_moved = true;
    }
    return has_moved;
}

bool pool_side_turn(void)
{
    bool has_moved = false;
    int fd;

    for (size_t i = 0; i < side.listeners_count; i++)
        while (side.count < MOST_CONNECTIONS &&
               (fd = accept4(side.listeners[i], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
            struct served *served = &side.served[side.count++];

            served->fd = fd;
            served->head_size = served->step = served->left = 0;
            served->piece_size = served->piece_at = 0;
            served->has_head = served->has_begun = false;
            has_moved = true;
        }
    for (size_t i = 0; i < side.count; i++)
        has_moved = serve(&side.served[i]) || has_moved;
    while (side.count > 0 && side.served[side.count - 1].fd < 0)
        side.count--;
    return has_moved;
}

void pool_side_end(void)
{
    pool_side_turn();
    for (size_t i = 0; i < side.count; i++)
        if (side.served[i].fd >= 0)
            end(&side.served[i], false);
    side.count = 0;
}
