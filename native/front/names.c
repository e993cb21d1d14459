/*
 * Both tables are sorted by strcmp(3), and no entry lies under a beginning that is another one. So a
 * name has one candidate, the last entry that is not behind it: whatever lay between a beginning and
 * a name that has it would have it too. Some eight comparisons for each name, and no memory.
 */
#include "names.h"

#include <string.h>

struct table {
    const char *const *entries;
    size_t count;
};

/* What loaders, shells, C libraries, interpreters and run-time systems read from their environment:
 * a name, or with an asterisk all that begin so. PATH is among them, though the service always sets
 * it, so that it is never the request's. */
static const char *const forbidden_names[] = {
    "ANSIBLE_*", "ASAN_OPTIONS", "AWKLIBPATH", "AWKPATH", "BASH*", "BROWSER", "BUNDLE*",
    "BUN_*", "CAML*", "CDPATH", "CLASSPATH", "COMPlus_*", "CORECLR_*", "COR_*", "CURL_*",
    "DBUS_*", "DEBUGINFOD_*", "DENO_*", "DOTNET_*", "DYLD_*", "EDITOR", "ELIXIR_*",
    "EMACS*", "ENV", "ERL_*", "EXINIT", "FCEDIT", "FONTCONFIG_*", "FPATH", "GAWK*",
    "GCONV_PATH", "GCOV_*", "GEM_*", "GETCONF_DIR", "GHCRTS", "GIO_*", "GIT_*",
    "GLIBC_TUNABLES", "GLOBIGNORE", "GMON_OUT_PREFIX", "GNUTLS_*", "GOCOVERDIR", "GODEBUG",
    "GORACE", "GOTRACEBACK", "GST_*", "GS_*", "GTK_*", "GUILE_*", "HOME", "HOSTALIASES",
    "IFS", "INPUTRC", "JAVA_*", "JDK_*", "JRUBY_*", "JULIA_*", "KRB5*", "KSH_*", "LDAPCONF",
    "LDAPRC", "LD_*", "LESS*", "LIBPATH", "LLVM_PROFILE_FILE", "LOCALDOMAIN", "LOCPATH",
    "LSAN_OPTIONS", "LUA*", "MAGICK_*", "MAKEFILES", "MAKEFLAGS", "MALLOC_*", "MANPAGER",
    "MONO_*", "MSAN_OPTIONS", "NIS_PATH", "NLSPATH", "NODE_*", "NPM_*", "NSS_*", "NULLCMD",
    "OCAML*", "OPENSSL_*", "PAGER", "PATH", "PERL*", "PHPRC", "PHP_ADMIN_VALUE",
    "PHP_FCGI_*", "PHP_INI_SCAN_DIR", "PHP_VALUE", "PIP_*", "POSIXLY_CORRECT",
    "PROMPT_COMMAND", "PS4", "PSModulePath", "PYENV_*", "PYTHON*", "QT_*", "READNULLCMD",
    "REQUESTS_CA_BUNDLE", "RESOLV_*", "RES_OPTIONS", "RUBY*", "R_*", "SASL_*", "SHELL",
    "SHELLOPTS", "SHLIB_PATH", "SOCKETD_*", "SSH_*", "SSLKEYLOGFILE", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "SUDO_*", "TCL*", "TEMP", "TERMCAP", "TERMINFO*", "TEXINPUTS",
    "TEXMF*", "TK_LIBRARY", "TMP", "TMPDIR", "TSAN_OPTIONS", "TZDIR", "UBSAN_OPTIONS",
    "VIMINIT", "VISUAL", "WGETRC", "XDG_*", "XLOCALEDIR", "ZDOTDIR", "_JAVA_OPTIONS",
    "_RLD*", "__*", "npm_*",
};

/* RFC 3875, section 4.1. */
static const char *const standard_names[] = {
    "AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "GATEWAY_INTERFACE", "HTTP_*",
    "PATH_INFO", "PATH_TRANSLATED", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_HOST",
    "REMOTE_IDENT", "REMOTE_USER", "REQUEST_METHOD", "SCRIPT_NAME", "SERVER_NAME",
    "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE",
};

/* What carries a request out: without these there is none, or no program for it. */
static const char *const needed_names[] = {
    "CONTENT_LENGTH", "DOCUMENT_URI", "PATH_INFO", "SCGI", "SCRIPT_NAME",
};

#define TABLE(names) ((struct table){names, sizeof names / sizeof *(names)})

/* Compare a name with what an entry has before its asterisk, as strcmp() would. A name has hundreds of
 * these, most of one character; by way of libc each function would be a page or two to be faulted in. */
static int compare(const char *name, size_t length, const char *entry)
{
    for (size_t i = 0; i < length; i++) {
        if (entry[i] == '\0' || entry[i] == '*')
            return 1;
        if (name[i] != entry[i])
            return (unsigned char)name[i] < (unsigned char)entry[i] ? -1 : 1;
    }
    return entry[length] == '\0' || entry[length] == '*' ? 0 : -1;
}

static bool begins(const char *name, size_t length, const char *beginning, size_t size)
{
    if (length < size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] != beginning[i])
            return false;
    return true;
}

/* Is the name that of the entry, or does it begin so? */
static bool is_meant(const char *name, size_t length, const char *entry, size_t entry_length)
{
    if (entry_length > 0 && entry[entry_length - 1] == '*')
        return begins(name, length, entry, entry_length - 1);
    return length == entry_length && begins(name, length, entry, entry_length);
}

static bool is_in(struct table table, const char *name, size_t length)
{
    size_t low = 0, high = table.count; /* the candidate is before `low` once they meet */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *entry = table.entries[middle];

        if (compare(name, length, entry) >= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && is_meant(name, length, table.entries[low - 1], strlen(table.entries[low - 1]));
}

/* curl and others take such a name in either case. A header of a client that is called so is one
 * header of many, but for HTTP_PROXY. */
static bool is_proxy(const char *name, size_t length)
{
    static const char ending[] = "_PROXY";
    const size_t size = sizeof ending - 1;

    if (length <= size)
        return false;
    for (size_t i = 0; i < size; i++) {
        const char c = name[length - size + i];

        if (c != ending[i] && (c < 'a' || c > 'z' || c - ('a' - 'A') != ending[i]))
            return false;
    }
    return !(begins(name, length, "HTTP_", strlen("HTTP_")) && length > strlen("HTTP_PROXY"));
}

bool names_is_forbidden(const char *name, size_t length)
{
    return is_proxy(name, length) || is_in(TABLE(forbidden_names), name, length);
}

bool names_is_standard(const char *name, size_t length)
{
    return is_in(TABLE(standard_names), name, length);
}

void names_show(char shown[NAMES_SHOWN_SIZE], const char *name, size_t length)
{
    if (length >= NAMES_SHOWN_SIZE)
        length = NAMES_SHOWN_SIZE - 1;
    for (size_t i = 0; i < length; i++)
        shown[i] = name[i] > ' ' && name[i] <= '~' ? name[i] : '?';
    shown[length] = '\0';
}

bool names_is_plain(const char *name, size_t length)
{
    if (length == 0 || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    return true;
}

bool names_is_list(const char *list)
{
    if (strlen(list) >= NAMES_LIST_SIZE)
        return false;
    for (;;) {
        size_t length = strcspn(list, ",");
        size_t stem = length > 0 && list[length - 1] == '*' ? length - 1 : length;

        if (!names_is_plain(list, stem))
            return false;
        if (list[length] == '\0')
            return true;
        list += length + 1;
    }
}

/* What a list says of a name: nothing, that it is among those meant, or this very name. */
enum mention { UNMENTIONED, MEANT, NAMED };

static enum mention find_in_list(const char *list, const char *name, size_t length)
{
    enum mention mention = UNMENTIONED;

    for (;;) {
        size_t entry_length = strcspn(list, ",");
        bool is_standard = is_meant(NAMES_STANDARD, strlen(NAMES_STANDARD), list, entry_length);
        bool is_usual = is_meant(NAMES_USUAL, strlen(NAMES_USUAL), list, entry_length);

        if (is_usual || (is_standard && names_is_standard(name, length)))
            mention = MEANT;
        if (!is_standard && !is_usual && is_meant(name, length, list, entry_length)) {
            if (list[entry_length - 1] != '*')
                return NAMED;
            mention = MEANT;
        }
        if (list[entry_length] == '\0')
            return mention;
        list += entry_length + 1;
    }
}

enum names_verdict names_judge(const char *list, const char *name, size_t length)
{
    enum mention mention;

    if (is_in(TABLE(needed_names), name, length))
        return NAMES_TAKEN;
    if (is_meant(name, length, "HTTP_PROXY", strlen("HTTP_PROXY")))
        return NAMES_LEFT_OUT;
    mention = list ? find_in_list(list, name, length) : MEANT;
    if (mention == NAMED)
        return NAMES_TAKEN;
    if (mention == UNMENTIONED)
        return NAMES_LEFT_OUT;
    return names_is_forbidden(name, length) ? NAMES_FORBIDDEN : NAMES_TAKEN;
}
