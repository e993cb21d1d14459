/*
 * One end of a connection.
 *
 * Owns the reading of socket addresses. Must not know where they are written to.
 */
#ifndef SOCKETD_ADDRESS_H
#define SOCKETD_ADDRESS_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ADDRESS_PATH_SIZE = sizeof(((struct sockaddr_un *)0)->sun_path) + 1 };

struct address {
    sa_family_t family;           /* AF_UNSPEC: not known */
    uint16_t port;                /* host order, 0 without one */
    unsigned char bytes[16];      /* as on the wire, zero-padded */
    char path[ADDRESS_PATH_SIZE]; /* UNIX; empty when unnamed or abstract */
};

/* The other end; a UNIX socket has credentials as well. */
struct peer {
    struct address address;
    struct ucred credentials;
};

/* Ask the kernel who is there: accept4() has told the address. */
void peer_identify(struct peer *peer, int connection, const struct sockaddr_storage *from,
                   socklen_t size);

static inline void address_set_inet(struct address *address, const unsigned char bytes[4])
{
    address->family = AF_INET;
    memcpy(address->bytes, bytes, 4);
}

/* One that is mapped into IPv6 is the IPv4 address. */
static inline void address_set_inet6(struct address *address, const unsigned char bytes[16])
{
    static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};

    if (memcmp(bytes, mapped, sizeof mapped) == 0) {
        address_set_inet(address, bytes + sizeof mapped);
        return;
    }
    address->family = AF_INET6;
    memcpy(address->bytes, bytes, 16);
}

/*
 * Read a socket address. An IPv4 address mapped into IPv6, which is what a dual-stack listener
 * reports, is read as the IPv4 address that the peer has.
 */
void address_read(struct address *address, const struct sockaddr_storage *from, socklen_t size);

#endif
