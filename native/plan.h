/*
 * The plan: all that the native side has to know of a service, in one structure.
 *
 * Owns the layout, which socketd/workers/plan.py has too (a test holds the two against each other), and the
 * check of what is said to be a plan. Must not know what is done with it.
 *
 * The master writes it into a memory file and seals that, so it is checked once and cannot change
 * afterwards. Behind the fields come tables and texts, each of which a span leads to. To add a field,
 * add it here and in socketd/workers/plan.py, count PLAN_VERSION up in both, and have plan_check() look
 * at it.
 */
#ifndef SOCKETD_PLAN_H
#define SOCKETD_PLAN_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#define PLAN_MAGIC UINT32_C(0x736B7001)
#define PLAN_VERSION 8U

/* How far the process has got that workers are forked from, as in socketd/settings/readiness.py. */
enum level { LEVEL_FORK, LEVEL_LOAD, LEVEL_READ, LEVEL_STOP, LEVEL_RELAY };

enum stderr_target { STDERR_SOCKET, STDERR_INHERIT, STDERR_SYSLOG, STDERR_NULL };

/* The protocol of requests that workers understand. */
enum protocol { PROTOCOL_NONE, PROTOCOL_SCGI, PROTOCOL_FASTCGI };

/* What becomes of a CGI program whose client has gone. */
enum client_gone { CLIENT_GONE_END, CLIENT_GONE_FINISH };

/* What has no value of its own that says that it is not there. */
enum {
    PLAN_HAS_IDENTITY = 1, /* user, group and groups */
    PLAN_HAS_UMASK = 2,
    PLAN_HAS_NICE = 4,
    PLAN_HAS_NO_NEW_PRIVS = 8,
    PLAN_HAS_RULESET = 16, /* of Landlock; the zygote is given it beside the plan */
    PLAN_HAS_GROUPS = 32,  /* of control; the template is given the one that has those of slots */
    PLAN_HAS_ALL = 63,
};

/* Where something is, in bytes from the beginning of the plan, and how many of it there are. */
struct plan_span {
    uint32_t offset;
    uint32_t count;
};

struct plan_limit {
    uint32_t resource; /* RLIMIT_... */
    uint32_t reserved;
    uint64_t soft;
    uint64_t hard;
};

struct plan {
    uint32_t magic;
    uint32_t version;
    uint64_t size; /* of all, the tables and texts too */
    int32_t master;
    uint32_t level;
    uint32_t stderr_target;
    uint32_t present;      /* PLAN_HAS_... */
    int32_t head_limit_ms; /* for the head of a request; 0: there is no front */
    int32_t linger_ms;     /* 0: no keeper stays behind the program */
    uint32_t protocol;
    int32_t keep_limit_ms;    /* between two requests of a connection; 0: none is kept */
    int32_t request_limit_ms; /* for a request, where its connection has no limit; 0: none */
    int32_t kill_ms;          /* between SIGTERM and SIGKILL for a request */
    uint32_t uid;
    uint32_t gid;
    uint32_t umask;
    int32_t nice;
    /* Texts: as many bytes, the NUL at the end among them; none: there is no such thing. */
    struct plan_span path;
    struct plan_span directory;
    struct plan_span root;              /* these three are of a struct rule */
    struct plan_span scripts;
    struct plan_span indexes;
    struct plan_span request_variables; /* that a request may set: a list of front/names.h */
    /* Tables. */
    struct plan_span arguments; /* of spans, each of a text; the first is what it is told to be called */
    struct plan_span groups;    /* of uint32_t */
    struct plan_span limits;    /* of struct plan_limit */
    uint32_t client_gone;       /* CLIENT_GONE_... */
    uint32_t request_stderr;    /* of the program of a FastCGI request: an enum stderr_mode */
    uint64_t body_limit;        /* in bytes; 0: none */
    int32_t answer_limit_ms;    /* for the first byte of an answer; 0: none */
    uint32_t is_favourite;      /* the program is one of those that requests name */
    struct plan_span chroot; /* a text: the root directory, which all other paths are below */
    struct plan_span token;     /* of a service whose requests name programs; see front/favourites.h */
    uint64_t head_limit;        /* in bytes; 0: there is no front */
};

#define PLAN_FIELD(field, at) static_assert(offsetof(struct plan, field) == (at), #field)
PLAN_FIELD(magic, 0);
PLAN_FIELD(version, 4);
PLAN_FIELD(size, 8);
PLAN_FIELD(master, 16);
PLAN_FIELD(level, 20);
PLAN_FIELD(stderr_target, 24);
PLAN_FIELD(present, 28);
PLAN_FIELD(head_limit_ms, 32);
PLAN_FIELD(linger_ms, 36);
PLAN_FIELD(protocol, 40);
PLAN_FIELD(keep_limit_ms, 44);
PLAN_FIELD(request_limit_ms, 48);
PLAN_FIELD(kill_ms, 52);
PLAN_FIELD(uid, 56);
PLAN_FIELD(gid, 60);
PLAN_FIELD(umask, 64);
PLAN_FIELD(nice, 68);
PLAN_FIELD(path, 72);
PLAN_FIELD(directory, 80);
PLAN_FIELD(root, 88);
PLAN_FIELD(scripts, 96);
PLAN_FIELD(indexes, 104);
PLAN_FIELD(request_variables, 112);
PLAN_FIELD(arguments, 120);
PLAN_FIELD(groups, 128);
PLAN_FIELD(limits, 136);
PLAN_FIELD(client_gone, 144);
PLAN_FIELD(request_stderr, 148);
PLAN_FIELD(body_limit, 152);
PLAN_FIELD(answer_limit_ms, 160);
PLAN_FIELD(is_favourite, 164);
PLAN_FIELD(chroot, 168);
PLAN_FIELD(token, 176);
PLAN_FIELD(head_limit, 184);
#undef PLAN_FIELD
static_assert(sizeof(struct plan) == 192, "the tables begin here");
static_assert(sizeof(struct plan_span) == 8, "a span is two numbers");
static_assert(sizeof(struct plan_limit) == 24 && offsetof(struct plan_limit, soft) == 8 &&
                  offsetof(struct plan_limit, hard) == 16,
              "a limit is three numbers");

/* Look whether memory of `size` bytes is a plan as it has to be; it has to be aligned as one. Returns
 * NULL, or what is wrong. What follows may be called for a plan that was looked at. */
const char *plan_check(const void *memory, size_t size);

/* Read the plan that a descriptor leads to, which stays open. Returns NULL if it is none, and says why.
 *
 * It is read into memory of this process's own: a page of a file that is mapped would have to be
 * faulted in again in each child, and the mapping would be one more thing to be given back. */
const struct plan *plan_read(int fd, const char **wrong);

void plan_forget(const struct plan *plan);

/* Return a text, NULL if there is none. */
static inline const char *plan_text(const struct plan *plan, struct plan_span span)
{
    return span.count ? (const char *)plan + span.offset : NULL;
}

static inline const char *plan_argument(const struct plan *plan, size_t number)
{
    const struct plan_span *spans = (const void *)((const char *)plan + plan->arguments.offset);

    return plan_text(plan, spans[number]);
}

static inline const uint32_t *plan_groups(const struct plan *plan)
{
    return (const void *)((const char *)plan + plan->groups.offset);
}

static inline const struct plan_limit *plan_limits(const struct plan *plan)
{
    return (const void *)((const char *)plan + plan->limits.offset);
}

static inline struct rlimit plan_limit_value(const struct plan_limit *limit)
{
    return (struct rlimit){.rlim_cur = limit->soft, .rlim_max = limit->hard};
}

/* Return the limits of each worker on processor time in `value`, if there are any. The template lives
 * long, so they are not for it. */
bool plan_cpu_limit(const struct plan *plan, struct rlimit *value);

#endif
