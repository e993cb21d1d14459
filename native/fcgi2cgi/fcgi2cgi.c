/*
 * fcgi2cgi: the requests of one FastCGI connection, each carried out by a CGI program.
 *
 *     fcgi2cgi [OPTION...] PROGRAM [ARGUMENT...]
 *     fcgi2cgi [OPTION...] --root DIRECTORY
 *     fcgi2cgi [OPTION...] --scripts PATHS
 *     fcgi2cgi [OPTION...] --to unix:PATH|tcp:HOST:PORT
 *
 * Owns the call: arguments and the state of the process. The connection is descriptors 0 and 1.
 *
 * Exits 0 when the connection is over, 100 after a wrong call, 111 when a system call failed.
 */
#include "exits.h"
#include "fastcgi/program.h"
#include "fastcgi/responder.h"
#include "fastcgi/signals.h"
#include "front/bytes.h"
#include "front/names.h"
#include "front/own.h"
#include "front/rule.h"
#include "front/seconds.h"
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FIRST_FOREIGN_FD = 3,
    USUAL_HEAD_SECONDS = 30,
    /* The web server is to be the one that closes: it cannot be told whether a request that it
     * sends at the moment of our closing is carried out. nginx keeps connections for 60 s. */
    USUAL_KEEP_SECONDS = 75,
    KILL_SECONDS = 5,
};

static const char help[] =
    "Usage: fcgi2cgi [OPTION...] PROGRAM [ARGUMENT...]\n"
    "       fcgi2cgi [OPTION...] --root DIRECTORY\n"
    "       fcgi2cgi [OPTION...] --scripts PATH[,PATH]...\n"
    "       fcgi2cgi [OPTION...] --to unix:PATH|tcp:HOST:PORT\n"
    "Serve the FastCGI connection on stdin and stdout: run a CGI program for each request.\n"
    "\n"
    "  --root DIRECTORY   the path of a request names the program below DIRECTORY\n"
    "  --scripts PATH[,PATH]...\n"
    "                     SCRIPT_FILENAME of a request, or DOCUMENT_ROOT with SCRIPT_NAME, is\n"
    "                     the program: one of these files, or one below these folders\n"
    "  --index NAME[,NAME]...\n"
    "                     the program of a path that ends with a slash\n"
    "  --to ADDRESS       pass requests on to a pool with an SCGI front\n"
    "  --env NAME=VALUE   set a variable for the program, whatever the request says\n"
    "  --env NAME         the same, with its value from our own environment\n"
    "  --env-prefix TEXT  the same for all of our own environment whose names begin with\n"
    "                     TEXT, without it\n"
    "  --request-variables LIST\n"
    "                     the names that a request may set: standard for those of RFC 3875,\n"
    "                     NAME, NAME*, with commas; all but dangerous ones otherwise\n"
    "  --stderr WHERE     the program's stderr: client (default, the web server's log),\n"
    "                     inherit or null\n"
    "  --head-timeout SECONDS   how long the head of a request may take (default 30)\n"
    "  --keep-timeout SECONDS   how long a kept connection may wait for its next request\n"
    "                     (default 75)\n"
    "  --client-gone WHAT what becomes of a program whose client has gone: end (default),\n"
    "                     its processes are told to end, or finish\n"
    "  --answer-timeout SECONDS   how long the first byte of an answer may take (no limit)\n"
    "  --head-limit BYTES the largest head of a request (default 65535)\n"
    "  --body-limit BYTES the largest body of a request (no limit)\n"
    "  --help             print this text\n";

struct call {
    struct service service;
    struct executable program;
    struct rule rule;
    bool has_pool;
    struct pool pool;
    struct own variables;
    char path[PATH_MAX];
    char folder[PATH_MAX];
};

static _Noreturn void reject(const char *reason)
{
    dprintf(STDERR_FILENO, "fcgi2cgi: %s; see fcgi2cgi --help\n", reason);
    _exit(EXIT_WRONG_CALL);
}

static _Noreturn void reject_option(const char *option, const char *reason)
{
    dprintf(STDERR_FILENO, "fcgi2cgi: %s: %s; see fcgi2cgi --help\n", option, reason);
    _exit(EXIT_WRONG_CALL);
}

static _Noreturn void fail(const char *attempt)
{
    dprintf(STDERR_FILENO, "fcgi2cgi: cannot %s: %s\n", attempt, strerror(errno));
    _exit(EXIT_SYSTEM);
}

static void accept_or_reject(const char *complaint)
{
    if (complaint)
        reject(complaint);
}

static bool is_stderr_connection(void)
{
    struct stat one, other;

    return fstat(STDERR_FILENO, &one) == 0 && fstat(STDOUT_FILENO, &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino && S_ISSOCK(one.st_mode);
}

static enum stderr_mode parse_stderr(const char *value)
{
    if (strcmp(value, "client") == 0)
        return STDERR_TO_CLIENT;
    if (strcmp(value, "null") == 0)
        return STDERR_TO_NULL;
    if (strcmp(value, "inherit") != 0)
        reject("--stderr is not one of client, inherit, null");
    if (is_stderr_connection())
        reject("--stderr inherit would write into the connection: give socket --stderr inherit");
    return STDERR_INHERITED;
}

static int parse_seconds(const char *value, const char *complaint)
{
    int milliseconds;

    if (!seconds_parse(value, &milliseconds))
        reject(complaint);
    return milliseconds;
}

static void take_option(struct call *call, const char *name, char *value)
{
    const char *complaint;

    if (rule_take_option(&call->rule, name, value, &complaint)) {
        accept_or_reject(complaint);
    } else if (strcmp(name, "--env") == 0) {
        accept_or_reject(own_add(&call->variables, value));
    } else if (strcmp(name, "--env-prefix") == 0) {
        accept_or_reject(own_add_prefixed(&call->variables, value));
    } else if (strcmp(name, "--request-variables") == 0) {
        if (!names_is_list(value))
            reject("--request-variables: not a list of names");
        call->service.allowed_names = value;
    } else if (strcmp(name, "--stderr") == 0) {
        call->service.stderr_mode = parse_stderr(value);
    } else if (strcmp(name, "--head-timeout") == 0) {
        call->service.head_limit_ms =
            parse_seconds(value, "--head-timeout is not a number of seconds up to 86400");
    } else if (strcmp(name, "--keep-timeout") == 0) {
        call->service.keep_limit_ms =
            parse_seconds(value, "--keep-timeout is not a number of seconds up to 86400");
    } else if (strcmp(name, "--client-gone") == 0) {
        call->service.may_finish = strcmp(value, "finish") == 0;
        if (!call->service.may_finish && strcmp(value, "end") != 0)
            reject("--client-gone is not one of end, finish");
    } else if (strcmp(name, "--answer-timeout") == 0) {
        call->service.answer_limit_ms =
            parse_seconds(value, "--answer-timeout is not a number of seconds up to 86400");
    } else if (strcmp(name, "--head-limit") == 0) {
        if (!request_parse_head_limit(value, &call->service.head_limit))
            reject("--head-limit is not a number of bytes from 1024 to 65535");
    } else if (strcmp(name, "--body-limit") == 0) {
        if (!bytes_parse(value, &call->service.body_limit))
            reject("--body-limit is not a number of bytes");
    } else if (strcmp(name, "--to") == 0) {
        accept_or_reject(pool_parse(&call->pool, value));
        call->has_pool = true;
    } else {
        reject_option(name, "no such option");
    }
}

static void take_program(struct call *call, char **words)
{
    if (!executable_find(words[0], call->path, call->folder))
        reject("the path of the program is too long");
    /* The word before is ours, too. */
    call->program = (struct executable){call->path, call->folder, words[0], words - 1};
    call->service.start = program_start;
    call->service.means = &call->program;
}

static void parse(struct call *call, char **words)
{
    int kinds;

    if (*words && (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0)) {
        dprintf(STDOUT_FILENO, "%s", help);
        _exit(0);
    }
    while (*words && strncmp(*words, "--", 2) == 0) {
        if (strcmp(*words, "--") == 0) {
            words++;
            break;
        }
        if (!words[1])
            reject_option(words[0], "no such option, or its value is missing");
        take_option(call, words[0], words[1]);
        words += 2;
    }
    kinds = (call->rule.root != NULL) + (call->rule.scripts != NULL) + call->has_pool +
            (*words != NULL);
    if (kinds == 0)
        reject("no program");
    if (kinds > 1)
        reject("only one of PROGRAM, --root, --scripts and --to");
    if (call->rule.indexes && !rule_is_there(&call->rule))
        reject("--index needs --root or --scripts");
    call->service.allowed_names = rule_names(&call->rule, call->service.allowed_names);
    if (rule_is_there(&call->rule)) {
        call->service.start = program_start_chosen;
        call->service.means = &call->rule;
    } else if (call->has_pool) {
        call->service.start = pool_start;
        call->service.means = &call->pool;
    } else {
        take_program(call, words);
    }
    accept_or_reject(own_complete(&call->variables));
    call->service.variables = call->variables.entries;
}

/* The program gets 0 to 2 and nothing else, also of what we were given. Where 2 is closed, a pipe
 * of ours must not take its place. */
static void settle_descriptors(void)
{
    if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0)
        reject("descriptors 0 and 1 are not both open");
    if (fcntl(STDERR_FILENO, F_GETFD) < 0 && open("/dev/null", O_RDWR) != STDERR_FILENO)
        _exit(EXIT_SYSTEM);
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)FIRST_FOREIGN_FD, ~0U, 0U) == 0 || errno != ENOSYS)
        return;
#endif
    /* Before Linux 5.9. */
    for (int fd = FIRST_FOREIGN_FD; fd < 1024; fd++)
        close(fd);
}

/* What is ignored survives exec, ours and the program's. The system call is made directly because
 * libc refuses the two signals that it keeps for itself. */
static void reset_signals(void)
{
    const unsigned char default_action[64] = {0}; /* SIG_DFL, no flags; at least as large */

    for (int number = 1; number < _NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP &&
            syscall(SYS_rt_sigaction, number, default_action, NULL, (size_t)_NSIG / 8) < 0)
            fail("reset signal dispositions");
}

int main(int count, char **words)
{
    static struct call call = {.service = {.name = "fcgi2cgi",
                                           .head_limit_ms = USUAL_HEAD_SECONDS * 1000,
                                           .head_limit = REQUEST_HEAD_MOST,
                                           .kill_ms = KILL_SECONDS * 1000,
                                           .keep_limit_ms = USUAL_KEEP_SECONDS * 1000}};
    /* Not on the stack: most of its pages are never touched. */
    static struct conversation conversation;
    const char *name;
    int signal_number;

    settle_descriptors();
    if (count < 1)
        reject("no arguments");
    parse(&call, words + 1);
    name = getenv("UNIQUE_ID"); /* of the connection */
    if (name && strlen(name) < sizeof conversation.name)
        strcpy(conversation.name, name);
    reset_signals();
    signals_note();
    signal_number = responder_run(&conversation, &call.service, STDIN_FILENO, STDOUT_FILENO);
    if (signal_number < 0)
        fail("wait for the connection");
    if (signal_number) {
        sigset_t all;

        reset_signals();
        raise(signal_number);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
    }
    return 0;
}
