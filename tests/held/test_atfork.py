"""What programs and their libraries have registered for a fork is called: a copy is one."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import Place, connect, exchange

from .conftest import Compile, Start, ready, reason
from .sources import program

pytestmark = pytest.mark.slow

SAY = 'static void {0}(void) {{ strcat(said, "{0} "); }}\n'
NAMES = ("prepare1", "parent1", "child1", "prepare2", "parent2", "child2")
ORDER = "static char said[999];\n" + "".join(map(SAY.format, NAMES))


def test_they_are_called_as_by_fork(start: Start, compile_c: Compile) -> None:
    """Before it the last one first, then in order; those of the parent in no process of ours."""
    body = (
        "char c; pthread_atfork(prepare1, parent1, child1); pthread_atfork(0, 0, 0);"
        "pthread_atfork(prepare2, parent2, child2); read(0, &c, 1); puts(said);"
    )
    server = start("read!", compile_c(program(body, ORDER)))

    said = [exchange(server.place, b"x") for _ in range(2)]

    assert said == [b"prepare2 prepare1 child1 child2 \n"] * 2


def test_those_of_an_object_that_has_gone_are_not(start: Start, compile_c: Compile) -> None:
    """A plug-in that was closed has left nothing at the place of its functions."""
    plugin = compile_c(
        "#include <pthread.h>\n#include <stdlib.h>\nvoid enter(void) {"
        " pthread_atfork(abort, abort, abort); }\n",
        "-shared", "-fPIC",
    )  # fmt: skip
    body = (
        f'char c; void *plugin = dlopen("{plugin}", RTLD_NOW);'
        'void (*enter)(void) = (void (*)(void))dlsym(plugin, "enter"); enter(); dlclose(plugin);'
        "pthread_atfork(0, 0, child1); read(0, &c, 1); puts(said);"
    )
    server = start("read!", compile_c(program(body, ORDER + "#include <dlfcn.h>\n")))

    assert exchange(server.place, b"x") == b"child1 \n"


@pytest.mark.parametrize("level", ["load!", "read!"])
def test_those_of_a_constructor_are_called_at_every_level(
    start: Start, compile_c: Compile, level: str
) -> None:
    """A library may be set up before main(), and before us; a program's fork calls them as well."""
    library = compile_c(
        "#include <pthread.h>\nint children;\nstatic void count(void) { children++; }\n"
        "__attribute__((constructor)) static void enter(void) { pthread_atfork(0, 0, count); }\n",
        "-shared", "-fPIC",
    )  # fmt: skip
    body = (
        "char c; read(0, &c, 1); if (!fork()) return children; int status; wait(&status);"
        'printf("%d %d\\n", children, WEXITSTATUS(status));'
    )
    head = "#include <sys/wait.h>\nextern int children;\n"
    server = start(level, compile_c(program(body, head), library))

    assert exchange(server.place, b"x") == b"1 2\n"


def test_too_many_are_a_reason_not_to_hold(start: Start, compile_c: Compile) -> None:
    """What is not known cannot be called."""
    body = "for (int i = 0; i < 300; i++) pthread_atfork(0, 0, child1); char c; read(0, &c, 1);"
    server = start("read", compile_c(program(body + "puts(said);", ORDER)), is_quiet=False)

    assert exchange(server.place, b"x") == b"\n"
    assert reason(server) == "it has registered too many functions for a fork"
    assert ready(server) == "load"


# Numbers that a library has begun to draw before the hold, if it has been set up by then at all.
BSD = """
    unsigned char b[16]; arc4random_buf(b, 16); read(0, b, 1); arc4random_buf(b, 16);
    for (int i = 0; i < 16; i++) printf("%02x", b[i]);
"""
GNUTLS = """
    unsigned char b[32]; char c;
    gnutls_rnd(GNUTLS_RND_KEY, b, 16); gnutls_rnd(GNUTLS_RND_NONCE, b, 16); read(0, &c, 1);
    gnutls_rnd(GNUTLS_RND_KEY, b, 16); gnutls_rnd(GNUTLS_RND_NONCE, b + 16, 16);
    for (int i = 0; i < 32; i++) printf("%02x%s", b[i], i == 15 ? " " : "");
"""
LIBRARIES = {
    "libbsd": (BSD, "#include <bsd/stdlib.h>\n", "-lbsd"),
    "gnutls": (GNUTLS, "#include <gnutls/crypto.h>\n", "-lgnutls"),
}


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("level", ["load!", "read!"])
def test_library_draws_other_numbers_in_each_copy(
    start: Start, compile_c: Compile, level: str, name: str
) -> None:
    """Nonce and key of two connections are never the same."""
    body, head, library = LIBRARIES[name]
    server = start(level, compile_c(program(body, head), library))

    drawn = [exchange(server.place, b"x").split() for _ in range(4)]

    assert [len(set(column)) for column in zip(*drawn, strict=True)] == [4] * len(drawn[0])


TLS_HEAD = "#include <gnutls/gnutls.h>\n#include <gnutls/crypto.h>\n"
TLS_SERVER = """
    gnutls_certificate_credentials_t credentials; gnutls_session_t session; unsigned char key[16];
    gnutls_certificate_allocate_credentials(&credentials);
    if (gnutls_certificate_set_x509_key_file(credentials, words[1], words[1], GNUTLS_X509_FMT_PEM))
        return 1;
    gnutls_rnd(GNUTLS_RND_KEY, key, 16); gnutls_rnd(GNUTLS_RND_NONCE, key, 16);
    gnutls_init(&session, GNUTLS_SERVER);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, 0);
    if (gnutls_handshake(session))
        return 2;
    gnutls_record_send(session, "hello\\n", 6);
    gnutls_bye(session, GNUTLS_SHUT_WR);
"""


@pytest.mark.parametrize("level", ["load!", "read!"])
def test_tls_server_has_keys_of_its_own_for_each_connection(
    start: Start, compile_c: Compile, tmp_path: Path, level: str
) -> None:
    """A server on GnuTLS, held when it waits for its client to begin: nonce and key differ."""
    certificate = make_certificate(tmp_path)
    path = compile_c(program(TLS_SERVER, TLS_HEAD), "-lgnutls")
    server = start(level, f"{path} {certificate}")

    said = [talk_tls(server.place) for _ in range(4)]

    assert {answer for answer, _, _ in said} == {b"hello\n"}
    assert len({nonce for _, nonce, _ in said}) == 4
    assert len({key for _, _, key in said}) == 4


def make_certificate(folder: Path) -> Path:
    """Return a file with a key and its certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = folder / "both.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x"
    command = [*words.split(), "-keyout", str(path), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("a") as file:
        file.write((folder / "certificate.pem").read_text())
    return path


def talk_tls(place: Place) -> tuple[bytes, bytes, bytes]:
    """Return what a TLS server says, and the nonce and public key in its hello (RFC 8446)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)
    received = b""
    with connect(place) as connection:

        def turn(step: Callable[[], object]) -> object:
            nonlocal received
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    part = connection.recv(65536)
                    received += part
                    incoming.write(part) if part else incoming.write_eof()

        turn(client.do_handshake)
        answer = turn(lambda: client.read(100))
        connection.sendall(outgoing.read())
    assert isinstance(answer, bytes)
    # A record's head, a message's head and a version come before the nonce.
    nonce = received[5 + 4 + 2 :][:32]
    share = re.search(rb"\x00\x33\x00.\x00[\x17\x1d]\x00.", received, re.DOTALL)
    assert share is not None
    return answer, nonce, received[share.end() :][:32]
