/*
 * The variables that describe a connection, in all dialects at once: UCSPI, CGI and systemd,
 * xinetd. No look-up of names: REMOTE_HOST is the address, as xinetd has it for want of a name.
 */
#include "environment.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

static_assert(sizeof "IPCREMOTEPATH=" + ADDRESS_PATH_SIZE <= ENVIRONMENT_VARIABLE_SIZE,
              "the longest variable fits");

enum { DECIMAL_SIZE = sizeof "4294967295" };

bool environment_init(struct environment *environment, char **base, size_t more)
{
    size_t count = 0;

    while (base[count])
        count++;
    /* Not calloc(): a held program may be anywhere when it is asked to hold. */
    environment->entries = mmap(NULL, (count + more + 1) * sizeof *base,
                                PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (environment->entries == MAP_FAILED)
        return false;
    if (count)
        memcpy(environment->entries, base, count * sizeof *base);
    environment->count = count;
    environment->used = 0;
    return true;
}

static void add(struct environment *environment, const char *name, const char *value)
{
    char *variable = environment->variables[environment->used++];

    environment->entries[environment->count++] = variable;
    variable = stpcpy(variable, name);
    *variable++ = '=';
    strcpy(variable, value);
}

static const char *format_decimal(char text[DECIMAL_SIZE], uint32_t number)
{
    char *digit = text + DECIMAL_SIZE - 1;

    *digit = '\0';
    do
        *--digit = (char)('0' + number % 10);
    while (number /= 10);
    return digit;
}

/* glibc's inet_ntop() prints into the buffer and some bytes of stack: no lock, no allocation. But
 * it does so by way of sprintf(), whose code and stack cost a new worker six page faults, so the
 * common and simple case is done here. */
static const char *format_address(char text[INET6_ADDRSTRLEN], const struct address *end)
{
    char *out = text;

    if (end->family != AF_INET)
        return inet_ntop(end->family, end->bytes, text, INET6_ADDRSTRLEN);
    for (int i = 0; i < 4; i++) {
        unsigned byte = end->bytes[i];

        if (i)
            *out++ = '.';
        if (byte >= 100)
            *out++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *out++ = (char)('0' + byte / 10 % 10);
        *out++ = (char)('0' + byte % 10);
    }
    *out = '\0';
    return text;
}

static void add_end(struct environment *environment, const struct address *end,
                    const char *const address_names[], const char *const port_names[])
{
    char address[INET6_ADDRSTRLEN];
    char port[DECIMAL_SIZE];

    if (!format_address(address, end))
        return;
    for (size_t i = 0; address_names[i]; i++)
        add(environment, address_names[i], address);
    for (size_t i = 0; port_names[i]; i++)
        add(environment, port_names[i], format_decimal(port, end->port));
}

static const char *const local_addresses[] = {"TCPLOCALIP", "SERVER_ADDR", NULL};
static const char *const local_ports[] = {"TCPLOCALPORT", "SERVER_PORT", NULL};
static const char *const peer_addresses[] = {"TCPREMOTEIP", "REMOTE_ADDR", "REMOTE_HOST", NULL};
static const char *const peer_ports[] = {"TCPREMOTEPORT", "REMOTE_PORT", NULL};
static const char *const proxy_addresses[] = {"PROXYREMOTEIP", NULL};
static const char *const proxy_ports[] = {"PROXYREMOTEPORT", NULL};
static const char *const others[] = {
    "PROTO", "IPCREMOTEEUID", "IPCREMOTEEGID", "IPCREMOTEPID", "IPCLOCALPATH", "IPCREMOTEPATH", NULL,
};

bool environment_is_of_connection(const char *name)
{
    static const char *const *const lists[] = {
        local_addresses, local_ports, peer_addresses, peer_ports, proxy_addresses, proxy_ports, others,
    };

    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++)
        for (size_t i = 0; lists[list][i]; i++)
            if (strcmp(name, lists[list][i]) == 0)
                return true;
    for (size_t i = 0; i < PROXY_VARIABLES; i++)
        if (strcmp(name, proxy_variable_names[i]) == 0)
            return true;
    return false;
}

void environment_add_tcp(struct environment *environment, const struct address *local,
                         const struct address *peer)
{
    add(environment, "PROTO", "TCP");
    add_end(environment, local, local_addresses, local_ports);
    add_end(environment, peer, peer_addresses, peer_ports);
}

void environment_add_unix(struct environment *environment, const struct address *local,
                          const struct address *peer, const struct ucred *credentials)
{
    char number[DECIMAL_SIZE];

    add(environment, "PROTO", "IPC");
    add(environment, "IPCREMOTEEUID", format_decimal(number, credentials->uid));
    add(environment, "IPCREMOTEEGID", format_decimal(number, credentials->gid));
    add(environment, "IPCREMOTEPID", format_decimal(number, (uint32_t)credentials->pid));
    if (local->path[0])
        add(environment, "IPCLOCALPATH", local->path);
    if (peer->path[0])
        add(environment, "IPCREMOTEPATH", peer->path);
}

void environment_add_proxy(struct environment *environment, const struct address *proxy)
{
    add_end(environment, proxy, proxy_addresses, proxy_ports);
}

void environment_add_identity(struct environment *environment, const char *identity)
{
    add(environment, proxy_variable_names[PROXY_UNIQUE_ID], identity);
}

void environment_add_text(struct environment *environment, const char *text)
{
    environment->entries[environment->count++] = (char *)text;
}
