"""CGI scripts that are started ahead, each by the recipe of docs/cgi.md.

Each of them says in which process its module was imported: with the recipe it is not the one that
answers, and is the same for all requests.
"""

import importlib.metadata
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.interpreters import interpreters
from harness.scgi import ask, request
from harness.servers import SOCKET, Server
from harness.webservers import own_command

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "cgi"
DEBIAN = "/usr/bin/python3"
FOUND = [name for name in interpreters() if name[0] == "3" and int(name[2:].rstrip("t")) >= 8]
# Python 3.13 no longer has the module.
WITHOUT_CGI = [name for name in FOUND if int(name[2:].rstrip("t")) >= 13]

_BOUNDARY = "0123456789"
_BODY = (
    f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="word"\r\n\r\ngrüße\r\n'
    f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    f"{'x' * 5000}\r\n--{_BOUNDARY}--\r\n"
).encode()
_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"

# What every script here imports ahead: a library of the environment that it is installed in.
_LIBRARY = "import os\nBORN = os.getpid()\n"
_PLAIN = """import os, sys, random
import library
n = int(os.environ.get("CONTENT_LENGTH") or 0)
body = sys.stdin.buffer.read(n)
print("Content-Type: text/plain\\n")
print(library.BORN, os.getpid(), os.environ["QUERY_STRING"], len(body), sys.prefix, os.getuid(),
      os.getcwd(), random.random())
"""
_LEGACY = """import os
import cgi
import library
form = cgi.FieldStorage()
print("Content-Type: text/plain; charset=utf-8\\n", flush=True)
word, file = form.getvalue("word"), form.getvalue("file")
os.write(1, f"{library.BORN} {os.getpid()} {word} {len(file)}\\n".encode())
"""

Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Run `socketd cgi`; the level that it has to reach is part of the call."""
    servers: list[Server] = []

    def start(script: Path, *options: str, is_quiet: bool = True) -> Server:
        servers.append(
            Server(
                ["--scgi=127.0.0.1:0", "-W", "2", *options, str(script)],
                command=(own_command("socketd"), "cgi", "--log-format", "json"),
                is_measured=False,
                is_quiet=is_quiet,
            )
        )
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def _script(folder: Path, interpreter: str | Path, text: str, name: str = "page.cgi") -> Path:
    file = folder / name
    file.write_text(f"#!{interpreter}\n{text}")
    file.chmod(0o755)
    return file


def _environment(folder: Path, interpreter: str, *modules: Path) -> Path:
    """Make a virtual environment with a library in it, and return its interpreter."""
    subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "library.py").write_text(_LIBRARY)
    for module in modules:
        shutil.copy(module, packages)
    return folder / "bin" / "python"


def _legacy_cgi() -> Path:
    """Return the module that stands for the one that Python no longer has."""
    try:
        files = importlib.metadata.files("legacy-cgi") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("legacy-cgi is not installed")
    return next(Path(str(file.locate())) for file in files if file.name == "cgi.py")


def _answers(
    server: Server, count: int = 3, body: bytes = b"", **variables: str
) -> list[list[str]]:
    """Return the words of so many answers, which have to be in text."""
    found = []
    for number in range(count):
        whole = request(body, QUERY_STRING=f"n={number}", SCRIPT_NAME="/page", **variables)
        answer = ask(server.place, whole).replace(b"\r\n", b"\n").decode()
        head, _, text = answer.partition("\n\n")
        assert "Content-Type: text/plain" in head, f"{answer}\n{server.log_text()}"
        found.append(text.split())
    return found


def _assert_started_ahead(server: Server, answers: list[list[str]]) -> None:
    """Show that what answers was born in another process than what it imports."""
    assert server.wait_event("service_ready")["ready"] == "stop"
    born, answering = ({words[index] for words in answers} for index in (0, 1))
    assert len(born) == 1, "the library was imported once"
    assert len(answering) == len(answers), "each answer comes from a process of its own"
    assert not born & answering


@pytest.mark.parametrize("version", FOUND)
def test_script_of_a_virtual_environment_is_started_ahead(
    serve: Serve, tmp_path: Path, version: str
) -> None:
    """Its first line names the environment's interpreter, so its libraries are imported ahead."""
    python = _environment(tmp_path / "env", interpreters()[version])
    server = serve(_script(tmp_path, python, _PLAIN))

    answers = _answers(server, body=b"some text", REQUEST_METHOD="POST")

    _assert_started_ahead(server, answers)
    for number, words in enumerate(answers):
        assert words[2:5] == [f"n={number}", "9", str(tmp_path / "env")]
        assert words[6] == str(tmp_path)
    assert len({words[7] for words in answers}) == len(answers), "random numbers of their own"


@pytest.mark.parametrize("version", WITHOUT_CGI)
def test_script_that_imports_cgi_runs_where_python_has_it_no_more(
    serve: Serve, tmp_path: Path, version: str
) -> None:
    """With legacy-cgi in its environment, an old script reads its form as ever, and is held."""
    python = _environment(tmp_path / "env", interpreters()[version], _legacy_cgi())
    server = serve(_script(tmp_path, python, _LEGACY))

    answers = _answers(server, body=_BODY, REQUEST_METHOD="POST", CONTENT_TYPE=_TYPE)

    _assert_started_ahead(server, answers)
    assert [words[2:] for words in answers] == [["grüße", "5000"]] * 3


@pytest.mark.usefixtures("reachable")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")
def test_script_of_another_user_is_started_ahead(serve: Serve, open_folder: Path) -> None:
    """With --user the interpreter is that user from its start; the environment is only read."""
    if not os.path.exists(DEBIAN):
        pytest.skip("python3 is not installed")
    python = _environment(open_folder / "env", DEBIAN)
    server = serve(_script(open_folder, python, _PLAIN), "--user", "nobody")

    answers = _answers(server)

    _assert_started_ahead(server, answers)
    assert {words[5] for words in answers} == {"65534"}


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (
            "from threading import Event, Thread\nThread(target=Event().wait, daemon=True).start()",
            "it has 2 threads",
        ),
        (
            "from subprocess import *\nchild = Popen(['cat'], stdin=PIPE, stdout=DEVNULL)",
            "it has started other programs",
        ),
        ("log = open('log', 'w')", "open for writing"),
        (
            "import fcntl\nlock = open('page.cgi')\nfcntl.flock(lock, fcntl.LOCK_SH)",
            "it holds a lock",
        ),
        (
            "import os\nos.register_at_fork(after_in_child=os.abort)",
            "a copy on trial was ended by SIGABRT",
        ),
    ],
    ids=["thread", "program", "file", "lock", "abort"],
)
def test_script_that_copies_could_not_share_is_not_held(
    serve: Serve, tmp_path: Path, module: str, reason: str
) -> None:
    """What a module has when it is imported is looked at as in any program that is held."""
    (tmp_path / "library.py").write_text(_LIBRARY)
    (tmp_path / "module.py").write_text(module)
    python = next(iter(reversed(interpreters().values())))
    server = serve(_script(tmp_path, python, f"import module\n{_PLAIN}"), is_quiet=False)

    answers = _answers(server)

    assert server.wait_event("service_ready")["ready"] == "load"
    assert reason in server.wait_event("template_fell_back")["reason"]
    assert all(words[0] == words[1] for words in answers), "each imports it itself"


@dataclass(frozen=True)
class Framework:
    """A framework for web applications in Python, and an application in it."""

    name: str
    package: str
    module: str
    """What stands in application.py: all that is to be imported ahead."""

    def __str__(self) -> str:
        """Name it in the list of tests."""
        return self.name


_SAY = "' '.join([str(BORN), str(os.getpid()), {word}, {form}]) + '\\n'"
FRAMEWORKS = (
    Framework(
        "flask",
        "python3-flask",
        "from flask import Flask, request\n"
        "app = Flask(__name__)\n"
        "@app.route('/hello/<word>', methods=['POST'])\n"
        "def hello(word):\n"
        "    text = " + _SAY.format(word="word", form="request.form['a']") + "\n"
        "    return text, {'Content-Type': 'text/plain'}\n",
    ),
    Framework(
        "bottle",
        "python3-bottle",
        "import bottle\n"
        "app = bottle.Bottle()\n"
        "@app.post('/hello/<word>')\n"
        "def hello(word):\n"
        "    bottle.response.content_type = 'text/plain'\n"
        "    return " + _SAY.format(word="word", form="bottle.request.forms['a']") + "\n",
    ),
    Framework(
        "django",
        "python3-django",
        "from django.conf import settings\n"
        "settings.configure(ROOT_URLCONF='application', ALLOWED_HOSTS=['*'], SECRET_KEY='x')\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "from django.http import HttpResponse\n"
        "from django.urls import path\n"
        "def hello(request, word):\n"
        "    text = " + _SAY.format(word="word", form="request.POST['a']") + "\n"
        "    return HttpResponse(text, content_type='text/plain')\n"
        "urlpatterns = [path('hello/<word>', hello)]\n"
        "app = get_wsgi_application()\n",
    ),
)
_CGI_HANDLER = (
    "from wsgiref.handlers import CGIHandler\nfrom application import app\nCGIHandler().run(app)\n"
)


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=str)
def test_application_of_a_framework_is_imported_ahead(
    serve: Serve, tmp_path: Path, framework: Framework
) -> None:
    """By wsgiref's CGIHandler it is a CGI program, and its imports are paid before a request."""
    if subprocess.run([DEBIAN, "-c", f"import {framework.name}"], capture_output=True).returncode:
        pytest.skip(f"{framework.package} is not installed")
    (tmp_path / "application.py").write_text(f"import os\nBORN = os.getpid()\n{framework.module}")
    server = serve(_script(tmp_path, DEBIAN, _CGI_HANDLER))

    answers = _answers(
        server,
        body=b"a=form",
        REQUEST_METHOD="POST",
        PATH_INFO="/hello/path",
        CONTENT_TYPE="application/x-www-form-urlencoded",
        SERVER_NAME="localhost",
        SERVER_PORT="80",
        SERVER_PROTOCOL="HTTP/1.1",
        HTTP_HOST="localhost",
    )

    _assert_started_ahead(server, answers)
    assert [words[2:] for words in answers] == [["path", "form"]] * 3


_PERL = """use strict;
use warnings;
use CGI;
my $born;
BEGIN { $born = $$ }
my $method = $ENV{REQUEST_METHOD};
sub method { return $method }
my $q = CGI->new;
my $file = $q->upload('file');
read $file, my $content, 1 << 20;
print $q->header('text/plain'), join ' ', $born, $$, scalar $q->param('word'), length $content,
    method(), rand;
print ' ', <DATA>;
exit 0;
__END__
data
"""
_RUBY = """require 'cgi'
require_relative 'library'
cgi = CGI.new
words = [BORN, Process.pid, cgi.params['word'][0].read, cgi.params['file'][0].size,
         ENV['REQUEST_METHOD'], rand, DATA.read]
cgi.out('text/plain') { words.join(' ') } if __FILE__ == $0
__END__
data
"""


@pytest.mark.parametrize(
    ("interpreter", "script", "needs", "options"),
    [
        ("perl", _PERL, ("-MCGI", "-e", "1"), (f"-I{EXAMPLES}", "-MSocketdHold")),
        ("ruby", _RUBY, ("-rcgi", "-e", "1"), (str(EXAMPLES / "socketd-hold.rb"),)),
    ],
    ids=["perl", "ruby"],
)
def test_script_in_another_language_is_compiled_ahead(
    tmp_path: Path, interpreter: str, script: str, needs: tuple[str, ...], options: tuple[str, ...]
) -> None:
    """With the example that stops it, it has the variables and the body of each request."""
    path = shutil.which(interpreter)
    if path is None or subprocess.run([path, *needs], capture_output=True).returncode:
        pytest.skip(f"{interpreter} with its module CGI is not installed")
    (tmp_path / "library.rb").write_text("BORN = Process.pid\n")
    file = _script(tmp_path, path, script, "page")
    words = [path, *options, str(file)]
    server = Server(
        [*"--front scgi --ready stop! -W 2 -B 127.0.0.1 -s 0".split(), "-p", shlex.join(words)],
        command=(SOCKET, "-v", "--log-format", "json"),
        is_measured=False,
    )
    try:
        answers = _answers(server, body=_BODY, REQUEST_METHOD="POST", CONTENT_TYPE=_TYPE)

        _assert_started_ahead(server, answers)
        assert [answer[2:5] + answer[6:] for answer in answers] == [
            ["grüße", "5000", "POST", "data"]
        ] * 3
        assert len({answer[5] for answer in answers}) == len(answers), "random numbers of their own"
    finally:
        server.close()
