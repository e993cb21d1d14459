/*
 * Reading socket addresses.
 */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

/* A path of full length has no terminator, see unix(7), "Pathname sockets": the size decides. */
static void read_unix(struct address *address, const struct sockaddr_un *from, socklen_t size)
{
    const size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t length = size > start ? size - start : 0;

    if (length > sizeof from->sun_path)
        length = sizeof from->sun_path;
    memcpy(address->path, from->sun_path, strnlen(from->sun_path, length));
}

void address_read(struct address *address, const struct sockaddr_storage *from, socklen_t size)
{
    memset(address, 0, sizeof *address);
    address->family = from->ss_family;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *inet = (const struct sockaddr_in *)from;

        address->port = ntohs(inet->sin_port);
        address_set_inet(address, (const unsigned char *)&inet->sin_addr);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *inet6 = (const struct sockaddr_in6 *)from;

        address->port = ntohs(inet6->sin6_port);
        address_set_inet6(address, inet6->sin6_addr.s6_addr);
    } else if (from->ss_family == AF_UNIX) {
        read_unix(address, (const struct sockaddr_un *)from, size);
    }
}

void peer_identify(struct peer *peer, int connection, const struct sockaddr_storage *from,
                   socklen_t size)
{
    socklen_t credentials_size = sizeof peer->credentials;

    address_read(&peer->address, from, size);
    peer->credentials = (struct ucred){.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (peer->address.family == AF_UNIX)
        getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer->credentials, &credentials_size);
}
