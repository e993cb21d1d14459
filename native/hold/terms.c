#include "terms.h"

#include "call.h"
#include "fastcgi_worker.h"
#include "front/names.h"
#include "identity.h"
#include "plan.h"
#include "remark.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static char names[NAMES_LIST_SIZE], path[PATH_MAX];

static bool is_ours(const struct plan *plan)
{
    return plan->master == call.first.master && plan->level == call.first.level &&
           (plan->head_limit_ms != 0) == (call.first.has_front != 0);
}

static const char *take_service(struct terms *terms, const struct plan *plan)
{
    const char *program = plan_text(plan, plan->path);

    fastcgi_worker_plan(&terms->service, plan);
    terms->service.allowed_names = terms->front.allowed_names;
    terms->service.cpu_limit = terms->cpu_limit;
    if (!program || strlen(program) >= sizeof path)
        return "its path is missing or too long";
    strcpy(path, program);
    terms->service.means = path;
    return NULL;
}

/* A program that requests name: each of its copies looks what its request says, as who has handed it over
 * did. The texts stay where they are, in the plan. */
static void take_favourite(struct terms *terms, const struct plan *plan)
{
    terms->own_path = plan_text(plan, plan->path);
    terms->front.rule = (struct rule){.root = plan_text(plan, plan->root),
                                      .scripts = plan_text(plan, plan->scripts),
                                      .indexes = plan_text(plan, plan->indexes)};
    terms->front.favourites = (struct favourites){plan_text(plan, plan->token), plan->master};
    terms->front.allowed_names = rule_names(&terms->front.rule, terms->front.allowed_names);
    terms->service.rule = &terms->front.rule;
    terms->service.favourites = terms->front.favourites;
    terms->service.own_path = terms->own_path;
}

static const char *take(struct terms *terms, const struct plan *plan)
{
    static struct rlimit cpu_limit;
    const char *request_variables = plan_text(plan, plan->request_variables);

    if (!is_ours(plan))
        return "the plan is for another program";
    if (request_variables)
        strcpy(names, request_variables); /* a list of names, which is not longer */
    terms->front = (struct front){
        .head_limit_ms = plan->head_limit_ms,
        .head_limit = plan->head_limit,
        .body_limit = plan->body_limit,
        .answer_limit_ms = plan->answer_limit_ms,
        .allowed_names = request_variables ? names : NULL,
        .note = remark_write,
        .settle_name = identity_settle,
    };
    if (plan->is_favourite)
        take_favourite(terms, plan);
    terms->linger = (struct farewell){.limit_ms = plan->linger_ms, .silence_ms = plan->linger_ms};
    terms->watch = plan->client_gone == CLIENT_GONE_FINISH ? CARRY_TO_FINISH : CARRY_TO_END;
    terms->kill_ms = plan->kill_ms;
    terms->cpu_limit = plan_cpu_limit(plan, &cpu_limit) ? &cpu_limit : NULL;
    return plan->protocol == PROTOCOL_FASTCGI ? take_service(terms, plan) : NULL;
}

const char *terms_take(struct terms *terms, int plan_fd)
{
    const char *wrong;
    const struct plan *plan = plan_read(plan_fd, &wrong);

    close(plan_fd);
    if (!plan)
        return wrong;
    wrong = take(terms, plan);
    if (!plan->is_favourite)
        plan_forget(plan);
    return wrong;
}
