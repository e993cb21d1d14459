#include "pool.h"

#include "front/scgi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECT_SECONDS = 10,
    HOST_SIZE = 64,
    PORT_MAX = 65535,
    LENGTH_SIZE = 8, /* of the netstring, with its colon; text is shorter than ten million */
};

static const struct refusal unreachable = {"502 Bad Gateway", "the pool cannot be reached"};
static const struct refusal busy = {"504 Gateway Timeout", "the pool does not accept"};
static const struct refusal too_long = {
    "431 Request Header Fields Too Large", "the variables of the request are too long"};

static const char *parse_path(struct pool *pool, const char *path)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&pool->address;

    if (!*path)
        return "the path of the pool is empty";
    if (strlen(path) >= sizeof address->sun_path)
        return "the path of the pool is too long for a socket";
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    pool->address_size = (socklen_t)sizeof *address;
    return NULL;
}

static bool parse_port(const char *text, in_port_t *port)
{
    unsigned long number = 0;
    size_t length = strspn(text, "0123456789");

    if (length == 0 || length > 5 || text[length])
        return false;
    for (; *text; text++)
        number = number * 10 + (unsigned long)(*text - '0');
    *port = htons((in_port_t)number);
    return number > 0 && number <= PORT_MAX;
}

static const char *parse_host(struct pool *pool, const char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&pool->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&pool->address;
    bool is_bracketed = *text == '[';
    const char *end = is_bracketed ? strchr(text, ']') : strrchr(text, ':');
    char host[HOST_SIZE];
    in_port_t port;

    text += is_bracketed;
    if (!end || end[is_bracketed] != ':' || !parse_port(end + 1 + is_bracketed, &port))
        return "the pool is not tcp:HOST:PORT";
    if ((size_t)(end - text) >= sizeof host)
        return "the host of the pool is too long";
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    if (is_bracketed && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = port;
        pool->address_size = (socklen_t)sizeof *v6;
        return NULL;
    }
    if (is_bracketed || (inet_pton(AF_INET, host, &v4->sin_addr) != 1 &&
                         strcmp(host, "localhost") != 0))
        return "the host of the pool is neither a number nor localhost";
    if (strcmp(host, "localhost") == 0)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4->sin_family = AF_INET;
    v4->sin_port = port;
    pool->address_size = (socklen_t)sizeof *v4;
    return NULL;
}

const char *pool_parse(struct pool *pool, const char *text)
{
    memset(pool, 0, sizeof *pool);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_path(pool, text + 5);
    if (strncmp(text, "tcp:", 4) == 0)
        return parse_host(pool, text + 4);
    return "the pool is neither unix:PATH nor tcp:HOST:PORT";
}

static bool is_named(const char *entry, const char *name)
{
    size_t length = strlen(name);

    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

/* An entry as SCGI has it: a NUL in the place of the '='. Returns where the next one goes, NULL
 * once there is no room. */
static char *append(char *out, const char *end, const char *name, size_t name_length,
                    const char *value)
{
    size_t value_length = strlen(value);

    if (!out || name_length + value_length + 2 > (size_t)(end - out))
        return NULL;
    memcpy(out, name, name_length);
    out[name_length] = '\0';
    memcpy(out + name_length + 1, value, value_length + 1);
    return out + name_length + value_length + 2;
}

size_t pool_write_head(const struct request *request, bool has_body, char head[POOL_HEAD_SIZE])
{
    const char *body_length = request_find(request, "CONTENT_LENGTH");
    const char *end = head + POOL_HEAD_SIZE - 1; /* but for the comma */
    char *text = head + LENGTH_SIZE;
    char *out = text;
    char length[LENGTH_SIZE + 1];
    int size;

    /* The protocol wants it first, and zero if there is no body. */
    if (!body_length || !*body_length)
        body_length = has_body ? SCGI_NO_LENGTH : "0";
    out = append(out, end, "CONTENT_LENGTH", strlen("CONTENT_LENGTH"), body_length);
    out = append(out, end, "SCGI", strlen("SCGI"), "1");
    for (size_t i = request->own_count; i < request->count; i++) {
        const char *entry = request->entries[i];
        size_t name_length = (size_t)(strchr(entry, '=') - entry);

        if (!is_named(entry, "CONTENT_LENGTH") && !is_named(entry, "SCGI"))
            out = append(out, end, entry, name_length, entry + name_length + 1);
    }
    if (!out)
        return 0;
    size = snprintf(length, sizeof length, "%d:", (int)(out - text));
    *out++ = ',';
    memmove(head + size, text, (size_t)(out - text));
    memcpy(head, length, (size_t)size);
    return (size_t)(out - text) + (size_t)size;
}

static const struct refusal *connect_to(const struct pool *pool, struct backend *backend)
{
    /* connect(2) keeps to it as well. A UNIX socket whose queue is full could not be waited for
     * otherwise: there is nothing to poll. */
    const struct timeval limit = {.tv_sec = CONNECT_SECONDS};
    const int on = 1;
    int fd = socket(pool->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    backend->name = "the pool";
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (const struct sockaddr *)&pool->address, pool->address_size) < 0) {
        backend->error = errno;
        if (fd >= 0)
            close(fd);
        return backend->error == EAGAIN || backend->error == EINPROGRESS ? &busy : &unreachable;
    }
    if (pool->address.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    backend->body_fd = backend->answer_fd = fd;
    backend->stderr_fd = -1;
    backend->is_socket = true;
    return NULL;
}

const struct refusal *pool_start(const struct service *service, struct request *request,
                                 bool has_body, struct backend *backend)
{
    static char head[POOL_HEAD_SIZE];
    const size_t head_size = pool_write_head(request, has_body, head);
    const struct refusal *refused = head_size ? connect_to(service->means, backend) : &too_long;

    if (refused)
        return refused;
    backend->head = head;
    backend->head_left = head_size;
    backend_write_head(backend);
    if (!has_body)
        backend_end_body(backend);
    return NULL;
}
