/*
 * The connection to the web server: one socket, or two pipes.
 *
 * Owns a fixed buffer each way. Must not know what is in the records.
 */
#ifndef SOCKETD_CONNECTION_H
#define SOCKETD_CONNECTION_H

#include "front/farewell.h"
#include "record.h"

#include <poll.h>
#include <stdbool.h>

enum {
    CONNECTION_INPUT_SIZE = 64 * 1024,
    /* Records of our own making always find so much room: the answer to a refusal, a line that
     * says why, and the ends of the streams and of the request. */
    CONNECTION_RESERVE = 4 * 1024,
    CONNECTION_OUTPUT_SIZE = 64 * 1024 + CONNECTION_RESERVE,
};

struct connection {
    int input_fd;
    int output_fd;
    struct bytes unread;
    size_t output_begin;
    size_t output_end;
    size_t held_from; /* what of the output is not sent yet */
    uint16_t held_id; /* of the request that it belongs to */
    bool is_held;
    bool is_socket;
    bool is_end_departure; /* the end of the input means that the output is not read either */
    bool has_ended;        /* the input */
    bool is_gone;          /* the output is not read any more */
    bool is_read_on;       /* the input nevertheless, to its end */
    unsigned char input[CONNECTION_INPUT_SIZE];
    unsigned char output[CONNECTION_OUTPUT_SIZE];
};

/* Begin with two open descriptors, or one for both. */
void connection_begin(struct connection *connection, int input_fd, int output_fd);

/* Say what to wait for: for input if all there was has been taken, for room if output waits. */
void connection_watch(const struct connection *connection, struct pollfd polls[2]);

/* Act on what poll() has found: receive, or note an end. */
void connection_receive(struct connection *connection, const struct pollfd polls[2]);

/* Send as much as goes without waiting. Returns whether nothing waits any more. */
bool connection_flush(struct connection *connection);

/* Have what is put from now on for a request wait, whether or not it could be sent. Other records go
 * before it. */
void connection_hold(struct connection *connection, uint16_t request_id);
void connection_release(struct connection *connection);

/* Return whether there is output that waits to be sent. */
bool connection_is_unsent(const struct connection *connection);

/* Return whether records of our own making have their room. */
bool connection_has_reserve(const struct connection *connection);

/* Return where the content of the next record may be put, and how much. */
unsigned char *connection_room(struct connection *connection, size_t *room);

/* Make a record of content that has been put there. */
void connection_seal(struct connection *connection, enum record_type type, uint16_t request_id,
                     size_t length);

/* Add a record of our own making. */
void connection_put(struct connection *connection, enum record_type type, uint16_t request_id,
                    const void *content, size_t length);

/* End the connection so that what has been sent arrives, whatever the web server still sends. A
 * signal that is not blocked cuts that short. */
void connection_end(struct connection *connection, bool is_all_read,
                    const struct farewell *farewell);

#endif
