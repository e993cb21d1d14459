/*
 * A copy of a held CPython: a fork that CPython has not made, and an os.environ that was filled
 * at its start.
 *
 * os.fork() calls PyOS_BeforeFork() before the fork, and after it PyOS_AfterFork_Child() in the child
 * and PyOS_AfterFork_Parent() in the parent, with the interpreter's lock held from the first to the
 * last. They belong together: the first takes locks that the others let go (that of imports, since 3.12
 * that of all interpreters, and without a global lock it stops the other threads), and some versions
 * end the process if they are not taken. One call of the first serves for all copies, since a template
 * goes on with nothing; so it is no parent, either. Before Python 3.7 there were no hooks but for the
 * child, and os.fork() took the lock of imports by itself; nothing seeded `random` anew, so we do.
 *
 * We are called where a blocking system call would return, and in no other place (see hold.c).
 * The interpreter has either let go of its lock there, or holds it in this thread.
 * PyGILState_Ensure() is made for both: code that a blocking call runs may call back into Python.
 * Py_AddPendingCall(), the other way, would act only when the interpreter looks for pending calls,
 * which in `for line in sys.stdin.buffer: print(random.random())` is after the first number.
 */
#include "python.h"

#include "shortcuts.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct object object;

static struct {
    int (*is_initialized)(void);
    int (*ensure)(void);
    void (*release)(int);
    void (*before_fork)(void);
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
    ptrdiff_t (*length)(object *);
    object *(*element)(object *, ptrdiff_t);
    int (*set)(object *, object *, object *);
    int (*set_item)(object *, const char *, object *);
    void (*forget)(object *);
    void (*clear_error)(void);
    void (*print_error)(void);
    void (*exit)(int);
} python;

static bool has_hooks; /* that a script can set, and `random` has set one */

/* The dictionary behind os.environ, of bytes. To set an item of os.environ itself would run Python
 * code, an encoder and putenv(), which has no news for an environment that has it already. The name
 * is CPython's own since 3.2; in one that has another, os.environ stays what it was. */
static object *variables;
static const char *const variables_names[] = {"_data", "data"}; /* Python 2 */

/* Between python_prepare() and the end of python_after_fork() this thread has the interpreter. */
static bool is_prepared;
static int lock_state;

/* Whatever looks at an object of Python writes to it: it counts references. In a copy each page that
 * is written to for the first time has to be copied, some eighty of them between the first line of
 * input and the first of output. So before there is a client each copy does what it will do then:
 * it adds to os.environ, reads and writes a line, by a pipe of its own, and looks at its streams and
 * at what the code that goes on names. That writes to types, small numbers, the places where the next
 * objects will be. It calls nothing of the program's: a stream or a table that is not of the usual
 * type is left alone. */
static const char rehearsal_source[] =
    "import _io, posix, sys\n"
    "environ = {}\n"
    "def rehearse():\n"
    "    names = [b'SOCKETD_%d' % number for number in range(10)]\n"
    "    if type(environ) is dict:\n"
    "        for number, name in enumerate(names): environ[name] = b'12345' * number\n"
    "        for name in names: del environ[name]\n"
    "    read_end, write_end = posix.pipe()\n"
    "    try:\n"
    "        posix.write(write_end, b'word ' * 12 + b'\\n')\n"
    "        client = _io.BufferedReader(_io.FileIO(read_end, closefd=False))\n"
    "        line = _io.TextIOWrapper(client, encoding='utf-8').readline()\n"
    "        client = _io.BufferedWriter(_io.FileIO(write_end, 'w', closefd=False))\n"
    "        text = _io.TextIOWrapper(client, encoding='utf-8')\n"
    "        text.write(' '.join(line.split()))\n"
    "        text.flush()\n"
    "    finally:\n"
    "        posix.close(read_end)\n"
    "        posix.close(write_end)\n"
    "    for stream in sys.stdin, sys.stdout:\n"
    "        if type(stream) is _io.TextIOWrapper:\n"
    "            stream.buffer, stream.encoding, stream.errors\n"
    "            stream.readline, stream.write, stream.flush\n"
    "    frame = sys._getframe(1)\n"
    "    while frame is not None:\n"
    "        code = frame.f_code\n"
    "        for constant in code.co_consts: pass\n"
    "        for name in code.co_names:\n"
    "            dict.get(frame.f_globals, name), dict.get(frame.f_builtins, name)\n"
    "        frame = frame.f_back\n";
static object *rehearsal;

/* What the interpreter has made last it will use next, among it the objects of the read that is held,
 * which have no other reference. They are not ours: certain to be there only while no Python runs. */
enum { MOST_YOUNG = 64 };
static object *young[MOST_YOUNG];
static size_t young_count;

enum { FILE_INPUT = 257 }; /* Py_file_input */

void python_find(void)
{
    struct {
        void *place;
        const char *name;
        const char *old_name; /* before Python 3.7, NULL if it is the same */
    } symbols[] = {
        {&python.is_initialized, "Py_IsInitialized", NULL},
        {&python.ensure, "PyGILState_Ensure", NULL},
        {&python.release, "PyGILState_Release", NULL},
        {&python.before_fork, "PyOS_BeforeFork", "_PyImport_AcquireLock"},
        {&python.after_fork, "PyOS_AfterFork_Child", "PyOS_AfterFork"},
        {&python.import, "PyImport_ImportModule", NULL},
        {&python.get, "PyObject_GetAttrString", NULL},
        {&python.call, "PyObject_CallMethod", NULL},
        {&python.bytes, "PyBytes_FromStringAndSize", "PyString_FromStringAndSize"},
        {&python.compile, "Py_CompileString", NULL},
        {&python.evaluate, "PyEval_EvalCode", NULL},
        {&python.builtins, "PyEval_GetBuiltins", NULL},
        {&python.dictionary, "PyDict_New", NULL},
        {&python.item, "PyDict_GetItemString", NULL},
        {&python.length, "PyList_Size", NULL},
        {&python.element, "PyList_GetItem", NULL},
        {&python.set, "PyDict_SetItem", NULL},
        {&python.set_item, "PyDict_SetItemString", NULL},
        {&python.forget, "Py_DecRef", NULL},
        {&python.clear_error, "PyErr_Clear", NULL},
        {&python.print_error, "PyErr_Print", NULL},
        {&python.exit, "Py_Exit", NULL},
    };

    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(RTLD_DEFAULT, symbols[i].name);

        if (!symbol && symbols[i].old_name)
            symbol = dlsym(RTLD_DEFAULT, symbols[i].old_name);
        if (!symbol) {
            python.is_initialized = NULL;
            return;
        }
        memcpy(symbols[i].place, &symbol, sizeof symbol);
    }
    has_hooks = dlsym(RTLD_DEFAULT, "PyOS_BeforeFork") != NULL;
}

const char *python_obstacle(void)
{
    return dlsym(RTLD_DEFAULT, "pypy_execute_source")
               ? "it is PyPy, whose copies would draw the same random numbers"
               : NULL;
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
        if (variables)
            python.set_item(names, "environ", variables);
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

static object *find_variables(void)
{
    object *os = python.import("os");
    object *environ_object = os ? python.get(os, "environ") : NULL;
    object *found = NULL;

    for (size_t i = 0; environ_object && !found && i < sizeof variables_names / sizeof(char *); i++) {
        python.clear_error();
        found = python.get(environ_object, variables_names[i]);
    }
    python.forget(environ_object); /* Py_DecRef() takes NULL */
    python.forget(os);
    return found;
}

/* Return a module that the program has imported, which is not the caller's own. */
static object *find_module(const char *name)
{
    object *sys = python.import("sys");
    object *modules = sys ? python.get(sys, "modules") : NULL;
    object *found = modules ? python.item(modules, name) : NULL;

    python.forget(modules);
    python.forget(sys);
    return found;
}

/* As the documentation of gc.freeze() has it for a process that will fork: what is there now is not
 * looked at, and so not written to and copied, when a copy collects its garbage. The end of an
 * interpreter does, which is two thirds of what a short script costs. */
static void freeze(void)
{
    object *gc = python.import("gc");
    object *objects = gc ? python.call(gc, "get_objects", "i", 0) : NULL; /* since Python 3.8 */

    /* The youngest are the last. */
    for (ptrdiff_t i = objects ? python.length(objects) : 0; i > 0 && young_count < MOST_YOUNG; i--)
        young[young_count++] = python.element(objects, i - 1);
    /* From here on no collection frees them. */
    python.forget(gc ? python.call(gc, "freeze", NULL) : NULL);
    python.forget(objects);
    python.forget(gc);
}

static void touch_young(void)
{
    for (size_t i = 0; i < young_count; i++)
        shortcuts_touch(young[i], 1);
}

void python_prepare(void)
{
    if (!is_running())
        return;
    lock_state = python.ensure();
    variables = find_variables();
    if (shortcuts_are_taken()) {
        rehearsal = compile_rehearsal();
        rehearse(); /* what is done for the first time is done for all copies */
        freeze();
    }
    python.clear_error();
    python.before_fork();
    is_prepared = true;
}

/* What random does by itself where it can have a hook. */
static void seed_random(void)
{
    object *random = find_module("random");

    python.forget(random ? python.call(random, "seed", NULL) : NULL);
    python.clear_error();
}

/* Before there is a client, so that it need not wait for it. */
void python_after_fork(void)
{
    if (!is_prepared)
        return;
    touch_young();
    /* Locks anew, threads forgotten; then what register_at_fork() has collected, of which one
     * reseeds random. */
    python.after_fork();
    if (!has_hooks)
        seed_random();
    rehearse();
    is_prepared = false;
    python.release(lock_state);
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

void python_call_hooks(void)
{
    object *module, *result;
    int state;

    if (!variables || !is_running())
        return;
    state = python.ensure();
    module = find_module("socketd.hold");
    result = module ? python.call(module, "_call_hooks", NULL) : NULL;
    if (module && !result) {
        python.print_error();
        python.exit(1);
    }
    python.forget(result);
    python.clear_error();
    python.release(state);
}
