/*
 * A UNIX socket says so itself: it hangs up when its peer is closed. A TCP connection looks the same
 * in both cases. But a peer on this machine is a socket as well, which the kernel knows (sock_diag(7)):
 * one that has been closed belongs to no file any more. Of a peer elsewhere nothing is known, and no
 * web server ends its sending before it has read the answer: it is taken for gone.
 */
#include "departure.h"

#if defined(__has_include)
#if __has_include(<linux/inet_diag.h>)
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#define IS_ASKED
#endif
#endif
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr_storage storage;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

#ifdef IS_ASKED
struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

static void put_end(const union address *address, __be16 *port, __be32 host[4])
{
    if (address->storage.ss_family == AF_INET6) {
        *port = address->v6.sin6_port;
        memcpy(host, &address->v6.sin6_addr, sizeof address->v6.sin6_addr);
    } else {
        *port = address->v4.sin_port;
        memcpy(host, &address->v4.sin_addr, sizeof address->v4.sin_addr);
    }
}

/* As the peer has it: its own end first. */
static void ask(struct question *question, const union address *own, const union address *peer)
{
    struct inet_diag_sockid *id = &question->body.id;

    memset(question, 0, sizeof *question);
    question->head.nlmsg_len = sizeof *question;
    question->head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question->head.nlmsg_flags = NLM_F_REQUEST;
    question->body.sdiag_family = (__u8)peer->storage.ss_family;
    question->body.sdiag_protocol = IPPROTO_TCP;
    question->body.idiag_states = ~0U;
    put_end(peer, &id->idiag_sport, id->idiag_src);
    put_end(own, &id->idiag_dport, id->idiag_dst);
    id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

/* Tell whether the kernel has a socket with a file for the peer. */
static bool is_open_here(const union address *own, const union address *peer)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct question question;
    union {
        struct nlmsghdr head;
        char bytes[1024];
    } answer;
    const struct inet_diag_msg *found = NLMSG_DATA(&answer.head);
    ssize_t size = -1;

    if (fd < 0)
        return false;
    ask(&question, own, peer);
    if (send(fd, &question, sizeof question, MSG_DONTWAIT) > 0)
        size = recv(fd, &answer, sizeof answer, MSG_DONTWAIT); /* it is there at once */
    close(fd);
    return size >= (ssize_t)NLMSG_LENGTH(sizeof *found) &&
           answer.head.nlmsg_type == SOCK_DIAG_BY_FAMILY && found->idiag_inode != 0;
}

#else
static bool is_open_here(const union address *own, const union address *peer)
{
    (void)own;
    (void)peer;
    return false;
}
#endif

bool departure_is_final(int connection)
{
    union address own, peer;
    socklen_t size = sizeof own;

    if (getsockname(connection, (struct sockaddr *)&own.storage, &size) < 0)
        return true;
    if (own.storage.ss_family != AF_INET && own.storage.ss_family != AF_INET6)
        return false;
    size = sizeof peer;
    return getpeername(connection, (struct sockaddr *)&peer.storage, &size) < 0 ||
           !is_open_here(&own, &peer);
}
