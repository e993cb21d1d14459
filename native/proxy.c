/*
 * Whatever is not exactly as doc/proxy-protocol.txt of HAProxy has it is no header: who sends it is a
 * proxy that we trust, and one that we do not understand is better not believed at all.
 *
 * A header of version 1 is a line, and only CR with LF ends it. One of version 2 says how long it is,
 * so it is known early where the program's input begins; what is behind its addresses are values with
 * a type and a length each, none of which may go over the end of the header.
 *
 * Addresses of UNIX sockets and of nobody in particular are skipped: no rule is about them, and what
 * a path says of a client on another machine is nothing. Datagrams cannot have come to a stream.
 */
#include "proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { LINE_MOST = 107, V2_HEAD = 16, SIGNATURE_SIZE = 12, WORD_MOST = 64 };

/* Families with protocols, and how many bytes of addresses there are for each. */
enum { OF_NOBODY = 0x00, TCP4 = 0x11, TCP6 = 0x21, UNIX_STREAM = 0x31 };
enum { TCP4_SIZE = 12, TCP6_SIZE = 36, UNIX_SIZE = 216 };

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };

enum {
    TYPE_AUTHORITY = 0x02,
    TYPE_CRC32C = 0x03,
    TYPE_UNIQUE_ID = 0x05,
    TYPE_SSL = 0x20,
    TYPE_SSL_VERSION = 0x21,
    TYPE_SSL_CN = 0x22,
    TYPE_SSL_CIPHER = 0x23,
};

enum { SSL_HEAD = 5, SSL_IS_TLS = 0x01, SSL_HAS_CERTIFICATE = 0x02 | 0x04 };

static const uint8_t signature[SIGNATURE_SIZE] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                                  0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};

const char *const proxy_variable_names[PROXY_VARIABLES] = {
    "UNIQUE_ID", "SSL_TLS_SNI_SERVERNAME", "SSL_PROTOCOL", "SSL_CIPHER", "SSL_PEER_CERT_CN"};

/* Bytes that are not read yet. */
struct rest {
    const uint8_t *at;
    size_t size;
};

static struct rest take(struct rest *rest, size_t size)
{
    const struct rest taken = {rest->at, size};

    rest->at += size;
    rest->size -= size;
    return taken;
}

static bool begins_with(const uint8_t *bytes, size_t count, const void *wanted, size_t size)
{
    return memcmp(bytes, wanted, count < size ? count : size) == 0;
}

/* --- Version 1 --- */

/* The bytes up to the next blank, or to the end; the blank is gone then. */
static struct rest take_word(struct rest *line)
{
    const uint8_t *blank = memchr(line->at, ' ', line->size);
    struct rest word;

    if (!blank)
        return take(line, line->size);
    word = take(line, (size_t)(blank - line->at));
    take(line, 1);
    return word;
}

static bool read_address(struct address *address, int family, struct rest word)
{
    unsigned char bytes[16];
    char text[WORD_MOST];

    if (word.size >= sizeof text || memchr(word.at, '\0', word.size))
        return false;
    memcpy(text, word.at, word.size);
    text[word.size] = '\0';
    if (inet_pton(family, text, bytes) != 1)
        return false;
    if (family == AF_INET)
        address_set_inet(address, bytes);
    else
        address_set_inet6(address, bytes);
    return true;
}

static bool read_port(struct address *address, struct rest word)
{
    uint32_t number = 0;

    if (word.size == 0 || word.size > 5 || (word.size > 1 && *word.at == '0'))
        return false;
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(word.at[i] - '0');
    }
    address->port = (uint16_t)number;
    return number <= UINT16_MAX;
}

static bool is_word(struct rest word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.at, text, word.size) == 0;
}

/* What is between "PROXY " and the end of the line. */
static bool read_line(struct proxy_header *header, struct rest line)
{
    const struct rest kind = take_word(&line);
    int family;
    struct rest source, destination, source_port;

    if (is_word(kind, "UNKNOWN"))
        return true;
    if (is_word(kind, "TCP4"))
        family = AF_INET;
    else if (is_word(kind, "TCP6"))
        family = AF_INET6;
    else
        return false;
    source = take_word(&line);
    destination = take_word(&line);
    source_port = take_word(&line);
    header->has_ends = true;
    /* What is left is the last port: a blank behind it makes it none. */
    return read_address(&header->source, family, source) &&
           read_address(&header->destination, family, destination) &&
           read_port(&header->source, source_port) && read_port(&header->destination, line);
}

static enum proxy_verdict parse_line(struct proxy_header *header, const uint8_t *bytes, size_t count)
{
    static const char begin[] = "PROXY ";
    const size_t length = sizeof begin - 1;
    const size_t seen = count < LINE_MOST ? count : LINE_MOST;
    const uint8_t *end;

    if (!begins_with(bytes, count, begin, length))
        return PROXY_WRONG;
    if (count <= length)
        return PROXY_MORE;
    end = memchr(bytes, '\r', seen);
    /* A line feed alone ends nothing, and nothing that we know has one in its line. */
    if (memchr(bytes, '\n', end ? (size_t)(end - bytes) : seen))
        return PROXY_WRONG;
    if (!end)
        return seen == LINE_MOST ? PROXY_WRONG : PROXY_MORE;
    if (end + 1 == bytes + seen)
        return seen == LINE_MOST ? PROXY_WRONG : PROXY_MORE;
    if (end[1] != '\n')
        return PROXY_WRONG;
    *header = (struct proxy_header){.size = (size_t)(end - bytes) + 2};
    if (!read_line(header, (struct rest){bytes + length, (size_t)(end - bytes) - length}))
        return PROXY_WRONG;
    return PROXY_WHOLE;
}

/* --- Version 2 --- */

static uint16_t read_number(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The next value. False if its length goes over the end of what it is in. */
static bool take_value(struct rest *rest, uint8_t *type, struct rest *value)
{
    size_t length;

    if (rest->size < 3)
        return false;
    *type = rest->at[0];
    length = read_number(rest->at + 1);
    take(rest, 3);
    if (length > rest->size)
        return false;
    *value = take(rest, length);
    return true;
}

/* A value of which only a part could be passed on, or that would be something else on a terminal or
 * in a log, is left out. The first of a type counts. */
static void keep(struct proxy_header *header, enum proxy_variable variable, struct rest value)
{
    const char *name = proxy_variable_names[variable];
    const size_t length = strlen(name);
    char *text = header->variables[variable];

    if (*text || value.size == 0 || value.size > PROXY_VALUE_MOST)
        return;
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] < ' ' || value.at[i] == 0x7F)
            return;
    memcpy(text, name, length);
    text[length] = '=';
    memcpy(text + length + 1, value.at, value.size);
    text[length + 1 + value.size] = '\0';
}

/* A name stands in a certificate that nobody has vouched for: it is as good as none. */
static bool read_ssl(struct proxy_header *header, struct rest value)
{
    bool is_verified;
    uint8_t type, client;
    struct rest inner;

    if (value.size < SSL_HEAD)
        return false;
    client = value.at[0];
    is_verified = client & SSL_HAS_CERTIFICATE && memcmp(value.at + 1, "\0\0\0\0", 4) == 0;
    take(&value, SSL_HEAD);
    while (value.size) {
        if (!take_value(&value, &type, &inner))
            return false;
        if (!(client & SSL_IS_TLS))
            continue;
        if (type == TYPE_SSL_VERSION)
            keep(header, PROXY_SSL_PROTOCOL, inner);
        else if (type == TYPE_SSL_CIPHER)
            keep(header, PROXY_SSL_CIPHER, inner);
        else if (type == TYPE_SSL_CN && is_verified)
            keep(header, PROXY_SSL_CLIENT, inner);
    }
    return true;
}

static uint32_t add_to_sum(uint32_t sum, uint8_t byte)
{
    sum ^= byte;
    for (int bit = 0; bit < 8; bit++)
        sum = sum >> 1 ^ (sum & 1 ? UINT32_C(0x82F63B78) : 0);
    return sum;
}

/* CRC32C of all of the header, with the four bytes of the sum itself as zeros. */
static bool is_sum(struct rest whole, struct rest value)
{
    uint32_t sum = UINT32_MAX;

    if (value.size != 4)
        return false;
    for (const uint8_t *at = whole.at; at < whole.at + whole.size; at++)
        sum = add_to_sum(sum, at >= value.at && at < value.at + 4 ? 0 : *at);
    sum = ~sum;
    return ((uint32_t)value.at[0] << 24 | (uint32_t)value.at[1] << 16 | (uint32_t)value.at[2] << 8 |
            value.at[3]) == sum;
}

static bool read_values(struct proxy_header *header, struct rest whole, struct rest rest)
{
    bool has_sum = false;
    struct rest value;
    uint8_t type;

    while (rest.size) {
        if (!take_value(&rest, &type, &value))
            return false;
        if (type == TYPE_AUTHORITY)
            keep(header, PROXY_SERVER_NAME, value);
        else if (type == TYPE_UNIQUE_ID)
            keep(header, PROXY_UNIQUE_ID, value);
        else if (type == TYPE_SSL && !read_ssl(header, value))
            return false;
        else if (type == TYPE_CRC32C) {
            if (has_sum || !is_sum(whole, value)) /* two sums cannot both be right */
                return false;
            has_sum = true;
        }
    }
    return true;
}

static bool find_addresses_size(uint8_t family, size_t *size)
{
    switch (family) {
    case OF_NOBODY:
        *size = 0;
        return true;
    case TCP4:
        *size = TCP4_SIZE;
        return true;
    case TCP6:
        *size = TCP6_SIZE;
        return true;
    case UNIX_STREAM:
        *size = UNIX_SIZE;
        return true;
    default:
        return false;
    }
}

static void read_ends(struct proxy_header *header, uint8_t family, const uint8_t *bytes)
{
    if (family == TCP4) {
        address_set_inet(&header->source, bytes);
        address_set_inet(&header->destination, bytes + 4);
        header->source.port = read_number(bytes + 8);
        header->destination.port = read_number(bytes + 10);
    } else {
        address_set_inet6(&header->source, bytes);
        address_set_inet6(&header->destination, bytes + 16);
        header->source.port = read_number(bytes + 32);
        header->destination.port = read_number(bytes + 34);
    }
    header->has_ends = true;
}

static enum proxy_verdict parse_block(struct proxy_header *header, const uint8_t *bytes, size_t count)
{
    size_t addresses = 0, length;
    struct rest whole, rest;

    if (!begins_with(bytes, count, signature, sizeof signature))
        return PROXY_WRONG;
    if (count > 12 && bytes[12] != COMMAND_LOCAL && bytes[12] != COMMAND_PROXY)
        return PROXY_WRONG;
    /* Of a header that is about no other connection all is skipped but its length. */
    if (count > 13 && bytes[12] == COMMAND_PROXY && !find_addresses_size(bytes[13], &addresses))
        return PROXY_WRONG;
    if (count < V2_HEAD)
        return PROXY_MORE;
    length = read_number(bytes + 14);
    if (length < addresses || V2_HEAD + length > PROXY_MOST)
        return PROXY_WRONG;
    if (count < V2_HEAD + length)
        return PROXY_MORE;
    *header = (struct proxy_header){.size = V2_HEAD + length};
    if (bytes[12] == COMMAND_LOCAL || bytes[13] == OF_NOBODY)
        return PROXY_WHOLE;
    if (bytes[13] != UNIX_STREAM)
        read_ends(header, bytes[13], bytes + V2_HEAD);
    whole = rest = (struct rest){bytes, header->size};
    take(&rest, V2_HEAD + addresses);
    return read_values(header, whole, rest) ? PROXY_WHOLE : PROXY_WRONG;
}

enum proxy_verdict proxy_parse(struct proxy_header *header, const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return PROXY_MORE;
    return *bytes == signature[0] ? parse_block(header, bytes, count)
                                  : parse_line(header, bytes, count);
}
