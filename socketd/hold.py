"""`python -m socketd.hold [--cgi] SCRIPT [ARGUMENT...]`: prepare a script up to its first line.

Owns the preparation of a script: its imports and its code; and what a script wants to be called in
its copies, `after_fork()`. Must not know sockets nor templates: it stops itself when it is ready,
if the process waits for that (`--ready stop`), and each copy runs the script from its first line as
`__main__`. Anywhere else it just runs the script.

It runs the imports at the script's top level, also within `if` and `try`; if an import fails, the
script will get the error later. Nothing else of the script runs ahead.

With `--cgi` it runs in the script's own folder (RFC 3875, section 7.2).

This file also runs by its path, under an interpreter that has no socketd and may be older than
ours, down to Python 3.7. So it uses nothing but the standard library, and no newer syntax.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType

_USAGE = "usage: python -m socketd.hold [--cgi] SCRIPT [ARGUMENT...]"
_USAGE_STATUS = 2  # Python's own
_CANNOT_FLUSH_STATUS = 120  # Python's own, too


_hooks: list[Callable[[], object]] = []


def after_fork(function: Callable[[], object]) -> Callable[[], object]:
    """Have a function called in each copy of this process, once the copy has its connection.

    They are called in the order in which they were given. If one raises an exception, the copy ends
    as a script does. Where the process is not copied none is called. Return the function.
    """
    _hooks.append(function)
    return function


def _call_hooks() -> None:
    """Call them; it is native/hold/python.c that calls this."""
    for function in _hooks:
        function()


def _is_waiting() -> bool:
    """Tell whether the object of native/hold/ is in this process and waits for a SIGSTOP."""
    with contextlib.suppress(AttributeError):
        return bool(ctypes.PyDLL(None).socketd_hold_waits_for_stop())
    return False


def _imports(statements: list[ast.stmt]) -> Iterator[str]:
    """Yield the names of the modules that statements import when they are run."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            module = statement.module
            if statement.level == 0 and module is not None and module != "__future__":
                yield module
                yield from (f"{module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.If):
            yield from _imports(statement.body + statement.orelse)
        elif isinstance(statement, ast.Try):
            yield from _imports(statement.body + statement.orelse + statement.finalbody)
        elif isinstance(statement, ast.With):
            yield from _imports(statement.body)


def _import_ahead(tree: ast.Module) -> None:
    for name in _imports(tree.body):
        parent, _, attribute = name.rpartition(".")
        if parent in sys.modules and hasattr(sys.modules[parent], attribute):
            continue  # `from module import function`
        with contextlib.suppress(Exception):  # the script will get it too, and may expect it
            importlib.import_module(name)


def _prepare(path: str) -> CodeType:
    with open(path, "rb") as file:
        source = file.read()
    tree = ast.parse(source, path)
    code = compile(tree, path, "exec", dont_inherit=True)
    _import_ahead(tree)
    return code


def main() -> None:
    """Prepare the script named by the arguments, stop if asked to, run it."""
    words = sys.argv[1:]
    is_cgi = words[:1] == ["--cgi"]
    if is_cgi:
        words = [os.path.abspath(word) for word in words[1:2]] + words[2:]
    if not words:
        print(_USAGE, file=sys.stderr)
        sys.exit(_USAGE_STATUS)
    path = words[0]
    sys.argv = words
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    if is_cgi:
        os.chdir(sys.path[0])
    code = _prepare(path)
    module = ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = module
    if not _is_waiting():
        exec(code, module.__dict__)  # noqa: S102  it is what was asked for
        return
    os.kill(os.getpid(), signal.SIGSTOP)
    _run_copy(code, module)


def _run_copy(code: CodeType, module: ModuleType) -> None:
    """Run the script and end like the interpreter, but without its finalization.

    That would touch every object of the template and copy its pages, which is most of the cost of a
    short script. The script's own objects are released, and its files flushed.
    """
    status: object = None
    try:
        exec(code, module.__dict__)  # noqa: S102  it is what was asked for
    except SystemExit as end:
        status = end.code
    except BaseException as error:  # noqa: BLE001  the interpreter would do the same
        _flush_streams()
        # Leave out the frame of this file.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    if status is not None and not isinstance(status, int):
        _flush_streams()
        print(status, file=sys.stderr)
        status = 1
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()  # noqa: SLF001  as Py_FinalizeEx() does
    atexit._run_exitfuncs()  # noqa: SLF001  the same
    _flush_files()
    module.__dict__.clear()
    gc.collect()
    os._exit(int(status or 0) & 0xFF if _flush_streams() else _CANNOT_FLUSH_STATUS)


def _flush_files() -> None:
    """Flush the script's open files: in a reference cycle they are closed in no defined order.

    Objects from before the hold are frozen and not among these.
    """
    files = gc.get_objects()
    for kinds in ((io.TextIOWrapper,), (io.BufferedWriter, io.BufferedRandom)):
        for file in files:
            if type(file) in kinds:
                with contextlib.suppress(OSError, ValueError):  # it is closed
                    file.flush()


def _flush_streams() -> bool:
    """Flush the standard streams; tell whether they could be."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
