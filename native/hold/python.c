/*
 * A copy of a held CPython: a fork that CPython has not made, and an os.environ that was filled
 * at its start.
 *
 * We are called where a blocking system call would return, and in no other place (see hold.c).
 * The interpreter has either let go of its lock there, or holds it in this thread.
 * PyGILState_Ensure() is made for both: code that a blocking call runs may call back into Python.
 * Py_AddPendingCall(), the other way, would act only when the interpreter looks for pending calls,
 * which in `for line in sys.stdin.buffer: print(random.random())` is after the first number.
 */
#include "python.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct object object;

static struct {
    int (*is_initialized)(void);
    int (*ensure)(void);
    void (*release)(int);
    void (*after_fork)(void);
    object *(*import)(const char *);
    object *(*get)(object *, const char *);
    object *(*call)(object *, const char *, const char *, ...);
    object *(*bytes)(const char *, ptrdiff_t);
    object *(*compile)(const char *, const char *, int);
    object *(*evaluate)(object *, object *, object *);
    object *(*builtins)(void);
    object *(*dictionary)(void);
    object *(*item)(object *, const char *);
    int (*set)(object *, object *, object *);
    int (*set_item)(object *, const char *, object *);
    void (*forget)(object *);
    void (*clear_error)(void);
} python;

/* The dictionary behind os.environ, of bytes. To set an item of os.environ itself would run Python
 * code, an encoder and putenv(), which has no news for an environment that has it already. The name
 * is CPython's own since 3.2; in one that has another, os.environ stays what it was. */
static object *variables;

/* Whatever looks at an object of Python writes to it: it counts references. In a copy each page that
 * is written to for the first time has to be copied, some eighty of them between the first line of
 * input and the first of output. So before there is a client each copy reads and writes a line in
 * memory, which is most of that: types, small numbers, the places where the next objects will be. */
static const char rehearsal_source[] =
    "import _io\n"
    "def rehearse():\n"
    "    client = _io.BufferedReader(_io.BytesIO(b'word ' * 12 + b'\\n'))\n"
    "    line = _io.TextIOWrapper(client, encoding='utf-8').readline()\n"
    "    client = _io.BufferedWriter(_io.BytesIO())\n"
    "    text = _io.TextIOWrapper(client, encoding='utf-8')\n"
    "    text.write(' '.join(line.split()))\n"
    "    text.flush()\n";
static object *rehearsal;

enum { FILE_INPUT = 257 }; /* Py_file_input */

void python_find(void)
{
    struct {
        void *place;
        const char *name;
    } symbols[] = {
        {&python.is_initialized, "Py_IsInitialized"},
        {&python.ensure, "PyGILState_Ensure"},
        {&python.release, "PyGILState_Release"},
        {&python.after_fork, "PyOS_AfterFork_Child"},
        {&python.import, "PyImport_ImportModule"},
        {&python.get, "PyObject_GetAttrString"},
        {&python.call, "PyObject_CallMethod"},
        {&python.bytes, "PyBytes_FromStringAndSize"},
        {&python.compile, "Py_CompileString"},
        {&python.evaluate, "PyEval_EvalCode"},
        {&python.builtins, "PyEval_GetBuiltins"},
        {&python.dictionary, "PyDict_New"},
        {&python.item, "PyDict_GetItemString"},
        {&python.set, "PyDict_SetItem"},
        {&python.set_item, "PyDict_SetItemString"},
        {&python.forget, "Py_DecRef"},
        {&python.clear_error, "PyErr_Clear"},
    };

    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(RTLD_DEFAULT, symbols[i].name);

        if (!symbol) {
            python.is_initialized = NULL;
            return;
        }
        memcpy(symbols[i].place, &symbol, sizeof symbol);
    }
}

/* NULL if that does not work in this interpreter; then it is done without. */
static object *compile_rehearsal(void)
{
    object *code = python.compile(rehearsal_source, "<socketd>", FILE_INPUT);
    object *names = python.dictionary();
    object *found = NULL;

    if (code && names) {
        python.set_item(names, "__builtins__", python.builtins());
        python.forget(python.evaluate(code, names, names));
        found = python.item(names, "rehearse"); /* it keeps the names, and they keep it */
    }
    python.forget(code);
    return found;
}

static void rehearse(void)
{
    if (rehearsal)
        python.forget(python.call(rehearsal, "__call__", NULL));
    python.clear_error();
}

static bool is_running(void)
{
    return python.is_initialized && python.is_initialized();
}

void python_prepare(void)
{
    object *gc, *os, *environ_object;
    int state;

    if (!is_running())
        return;
    state = python.ensure();
    rehearsal = compile_rehearsal();
    rehearse(); /* what is done for the first time is done for all copies */
    /* As the documentation of gc.freeze() has it for a process that will fork: what is there now is
     * not looked at, and so not written to and copied, when a copy collects its garbage. The end of
     * an interpreter does, which is two thirds of what a short script costs. */
    gc = python.import("gc");
    python.forget(gc ? python.call(gc, "freeze", NULL) : NULL);
    python.forget(gc); /* Py_DecRef() takes NULL */
    os = python.import("os");
    environ_object = os ? python.get(os, "environ") : NULL;
    variables = environ_object ? python.get(environ_object, "_data") : NULL;
    python.forget(environ_object);
    python.forget(os);
    python.clear_error();
    python.release(state);
}

/* Before there is a client, so that it need not wait for it. */
void python_after_fork(void)
{
    int state;

    if (!is_running())
        return;
    state = python.ensure();
    /* Locks anew, threads forgotten; then what register_at_fork() has collected, of which one
     * reseeds random. */
    python.after_fork();
    rehearse();
    python.release(state);
}

static void set_variable(const char *variable)
{
    const char *equals = strchr(variable, '=');
    object *name = python.bytes(variable, equals - variable);
    object *value = python.bytes(equals + 1, (ptrdiff_t)strlen(equals + 1));

    if (name && value)
        python.set(variables, name, value);
    python.forget(name);
    python.forget(value);
}

void python_add(char *const entries[])
{
    int state;

    if (!variables || !is_running())
        return;
    state = python.ensure();
    for (size_t i = 0; entries[i]; i++)
        set_variable(entries[i]);
    python.clear_error();
    python.release(state);
}
