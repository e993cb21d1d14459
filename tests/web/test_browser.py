"""A page made by a held Python program, read and filled in by a browser, through nginx."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from harness.browsers import BROWSER, DRIVER, Browser, browsing
from harness.servers import Server
from harness.webservers import HOST, WebServer, find_command
from web.conftest import EXAMPLES

pytestmark = pytest.mark.slow

PAGE = EXAMPLES / "page.py"
WORDS = "<script>alert(1)</script> & 'grüße'"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the page of the examples, held at `stop`."""
    if find_command("nginx") is None:
        pytest.skip("nginx is not installed")
    program = f"{sys.executable} -m socketd.hold --cgi {PAGE}"
    backend = Server(
        ["--front", "scgi", "-p", program, "--ready", "stop!", "-W", "2", "-B", HOST, "-s", "0"]
    )
    try:
        server = WebServer("nginx", "scgi", backend.place, is_tcp=True)
        try:
            yield f"http://{HOST}:{server.place[1]}/cgi-bin/page"
        finally:
            server.close()
    finally:
        backend.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a browser."""
    for command in (BROWSER, DRIVER):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    with browsing() as running:
        yield running


def test_page_shows_the_request(browser: Browser, url: str) -> None:
    """The variables of this request are shown as text, whatever is in them."""
    browser.open(f"{url}?<i>loud</i>")

    assert browser.text("h1") == "What a CGI program sees"
    names, values = browser.texts("th"), browser.texts("td")
    found = dict(zip(names, values, strict=True))
    assert found["REQUEST_METHOD"] == "GET"
    assert found["QUERY_STRING"] == "%3Ci%3Eloud%3C/i%3E"
    assert "HeadlessChrome" in found["HTTP_USER_AGENT"]
    assert browser.text("#body") == "0 bytes"


def test_form_is_sent_and_comes_back_as_text(browser: Browser, url: str) -> None:
    """What is typed into the form arrives as the body, and nothing of it is taken for markup."""
    browser.open(url)
    browser.type("textarea", WORDS)

    browser.click("button")

    assert browser.wait_text("blockquote") == WORDS
    assert browser.text("#method") == "POST"
    assert browser.text("#body") != "0 bytes"


def test_each_answer_is_made_by_another_copy(browser: Browser, url: str) -> None:
    """Two answers come from two processes, both copies of the one that was started ahead."""
    processes, interpreters = set(), set()
    for _ in range(2):
        browser.open(url)
        processes.add(browser.text("#process").partition(",")[0])
        interpreters.add(browser.text("#interpreter"))

    assert len(processes) == 2
    assert [text.startswith("started ahead, in process") for text in interpreters] == [True]
