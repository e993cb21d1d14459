/*
 * Who draws pseudo-random numbers has a state, and all copies go on with that of their template. What
 * seeds it anew belongs to the program; where the program lets others see it, it is called. Each is
 * harmless at the place of a system call: it stores numbers, or does what a script might have done
 * there by a handler of its own. A script that has chosen its seed loses it, as in a child that
 * seeds itself after a fork.
 *
 * What exports nothing of the kind is known by the words of its script (programs/script_words.py).
 */
#include "numbers.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>
#include <unistd.h>

enum { SEED_BYTES = 32 };

/* bash: seeds $RANDOM by the clock and the process id, as for a subshell; and what $$ says. */
static void (*bash_seed)(void);
static pid_t *bash_pid;

/* Ruby: has the generator seed itself again when it is next asked, as for a child of its fork(). */
static void (*ruby_reset)(void);

/* PHP: mt_rand(), and with it rand(), shuffle() and what else draws from the one generator. */
static void (*php_seed)(uint32_t);

/* SQLite: with no bytes to fill, its generator is seeded again when it is next asked. */
static void (*sqlite_randomness)(int, void *);

/* NSS: mixes these bytes into its generator when it next runs, which is when what it has made ahead has
 * been given away. */
static int (*nss_is_initialized)(void);
static int (*nss_update)(void *, size_t);
static int (*nss_generate)(void *, int);
enum { NSS_AHEAD = 32, NSS_PART = NSS_AHEAD / 2 }; /* more than half is not taken from there */

/* Perl: has no function for that, but one that runs a script's text. This is where perl may run a
 * script's text anyhow, by a layer of the file that it reads from. */
typedef struct interpreter interpreter;
static interpreter *(*perl_get)(void);
static void *(*perl_text)(interpreter *, const char *, size_t);
static ssize_t (*perl_run)(interpreter *, void *, int32_t);
static void (*perl_free)(interpreter *, void *);
enum { PERL_VOID = 1, PERL_DISCARD = 4, PERL_KEEP_ERROR = 0x20 }; /* cop.h, since 5.10 */

static void find(void *place, const char *name)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);

    memcpy(place, &symbol, sizeof symbol);
}

struct search {
    const char *name;
    void *library;
};

static int look_into(struct dl_phdr_info *object, size_t size, void *data)
{
    struct search *search = data;
    void *library = *object->dlpi_name ? dlopen(object->dlpi_name, RTLD_LAZY | RTLD_NOLOAD) : NULL;

    (void)size;
    if (library && dlsym(library, search->name))
        search->library = library;
    else if (library)
        dlclose(library);
    return search->library != NULL;
}

/* A library may be there for one plug-in only, as SQLite is for the module of an interpreter. Return one
 * that has the symbol. */
static void *find_library(const char *name)
{
    struct search search = {.name = name};

    if (dlsym(RTLD_DEFAULT, name))
        return dlopen(NULL, RTLD_LAZY);
    dl_iterate_phdr(look_into, &search);
    return search.library;
}

static void find_in(void *place, void *library, const char *name)
{
    void *symbol = library ? dlsym(library, name) : NULL;

    memcpy(place, &symbol, sizeof symbol);
}

const char *numbers_obstacle(void)
{
    return perl_run && !perl_get ? "it is a perl without threads, whose copies would draw the same "
                                   "random numbers"
                                 : NULL;
}

/* What a library keeps it keeps for the process, so that it is never unloaded is no loss. */
void numbers_find(void)
{
    void *sqlite = find_library("sqlite3_randomness"), *nss = find_library("PK11_RandomUpdate");

    find(&bash_seed, "seedrand");
    find(&bash_pid, "dollar_dollar_pid");
    find(&ruby_reset, "rb_reset_random_seed");
    find(&php_seed, "php_mt_srand");
    find_in(&sqlite_randomness, sqlite, "sqlite3_randomness");
    find_in(&nss_is_initialized, nss, "NSS_IsInitialized");
    find_in(&nss_update, nss, "PK11_RandomUpdate");
    find_in(&nss_generate, nss, "PK11_GenerateRandom");
    dlerror(); /* what was not found is no news to the program */
    /* Each function has another first argument where perl was built without threads. */
    if (dlsym(RTLD_DEFAULT, "PL_thr_key"))
        find(&perl_get, "Perl_get_context");
    find(&perl_text, "Perl_newSVpv");
    find(&perl_run, "Perl_eval_sv");
    find(&perl_free, "Perl_sv_free");
}

static void renew_nss(unsigned char seed[SEED_BYTES])
{
    if (!nss_is_initialized || !nss_update || !nss_generate || !nss_is_initialized())
        return;
    nss_update(seed, SEED_BYTES);
    for (int given = 0; given < 2 * NSS_AHEAD; given += NSS_PART)
        nss_generate(seed, NSS_PART);
}

static void renew_perl(void)
{
    interpreter *perl = perl_get && perl_text && perl_run && perl_free ? perl_get() : NULL;
    void *text;

    if (!perl)
        return;
    text = perl_text(perl, "CORE::srand()", 0);
    perl_run(perl, text, PERL_VOID | PERL_DISCARD | PERL_KEEP_ERROR);
    perl_free(perl, text);
}

/* Tell whether there is anything to be renewed: in most programs there is not. */
static bool is_any_found(void)
{
    return bash_seed || ruby_reset || php_seed || sqlite_randomness || nss_update || perl_run;
}

void numbers_renew(void)
{
    unsigned char seed[SEED_BYTES];
    uint32_t number;

    if (!is_any_found())
        return;
    /* It blocks only while the machine has just been started. */
    if (getrandom(seed, sizeof seed, 0) != sizeof seed)
        return;
    memcpy(&number, seed, sizeof number);
    if (bash_seed && bash_pid) {
        *bash_pid = getpid();
        bash_seed();
    }
    if (ruby_reset)
        ruby_reset();
    if (php_seed)
        php_seed(number);
    if (sqlite_randomness)
        sqlite_randomness(0, NULL);
    renew_nss(seed);
    renew_perl();
    explicit_bzero(seed, sizeof seed);
}
