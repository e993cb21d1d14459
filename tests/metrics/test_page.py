"""The page, in a real browser: what it shows, how it follows, whom it does not trust."""

import functools
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.browsers import BROWSER, DRIVER, Browser, browsing
from harness.controls import ControlSocket
from harness.servers import Server
from harness.waiting import wait_for
from metrics.serving import url_of

WIDTHS = {"phone": (360, 740), "tablet": (768, 1024), "desk": (1280, 900)}
# The engine that axe's makers ship for many languages. Its package is installed for the file alone.
AXE = "axe_playwright_python"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests of the module: it takes longer to start than each of them."""
    for command in (DRIVER, BROWSER):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    with browsing() as one:
        yield one


@pytest.fixture
def page(browser: Browser, metrics: Server) -> Browser:
    """Open the page, on a desk, and wait for its first answer."""
    browser.show_as(*WIDTHS["desk"])
    browser.open(url_of(metrics))
    wait_for(lambda: browser.texts(".listener h3"), "services on the page")
    return browser


def test_page_shows_services_and_follows_them(page: Browser, control: ControlSocket) -> None:
    """Each listener is there with its letters and numbers; a change is seen in the same element."""
    assert page.texts(".listener h3") == ["echo", "web"]
    assert page.texts("[data-at=board]") == ["WW_WR_", "W_WW_W__"]
    assert page.texts("[data-at=busy]")[0] == "3"
    assert page.run("return document.querySelector('[data-at=board]').ariaLabel") == (
        "workers: 2 idle, 3 busy, 1 retiring"
    )
    page.run("document.querySelector('[data-at=busy]').mine = true")
    workers = control.document["services"][0]["listeners"][0]["workers"]
    workers["busy"] = 7
    wait_for(lambda: page.texts("[data-at=busy]")[0] == "7", "the new number")
    assert page.run("return document.querySelector('[data-at=busy]').mine")


def test_services_come_and_go_in_their_order(page: Browser, control: ControlSocket) -> None:
    """A service that is new stands where the file has it, one that has gone is no more there."""
    echo, web = control.document["services"]
    control.document["services"] = [web, echo | {"name": "new"}, echo]
    wait_for(lambda: page.texts(".listener h3") == ["web", "new", "echo"], "the new order")
    control.document["services"] = [echo]
    wait_for(lambda: page.texts(".listener h3") == ["echo"], "the one that is left")


def test_names_of_strangers_are_text(page: Browser, control: ControlSocket) -> None:
    """Markup in whatever the server says is shown as it is, and nothing of it is carried out."""
    evil = "<img src=x onerror='window.caught=1'><script>window.caught=1</script>"
    service = control.document["services"][0]
    listener = service["listeners"][0]
    service["name"] = service["program"] = listener["address"] = listener["board"] = evil
    listener["state"] = control.document["server"]["file"] = evil
    listener["back_off"] = {"seconds": 1.0, "step": 1, "reason": evil}
    listener["refused"] = {evil: 3}
    wait_for(lambda: page.texts(".listener h3")[0] == evil, "the name")
    listener["refused"] = {evil: 5}
    wait_for(lambda: any("2 clients sent away" in text for text in page.texts("#news li")), "news")
    page.click(".listener summary")
    assert page.run("return document.querySelectorAll('img, main script').length") == 0
    assert page.run("return window.caught ?? null") is None
    assert page.run(
        "const s = document.createElement('script'); s.textContent = 'window.caught=2';"
        "document.body.append(s); return window.caught ?? null"
    ) is None  # fmt: skip


def test_news_are_what_has_happened_since(page: Browser, control: ControlSocket) -> None:
    """What was refused before is no news; what is refused each second is one item that counts."""
    assert not any("sent away" in text for text in page.texts("#news li"))
    assert any("service.web.listen: is missing" in text for text in page.texts("#news li"))
    listener = control.document["services"][0]["listeners"][0]
    for more in range(1, 4):
        listener["refused"]["denied"] += 1
        told = f"echo: {more} client{'s' * (more > 1)} sent away, denied by a rule"
        wait_for(functools.partial(_is_told, page, told), told)
    assert sum("sent away" in text for text in page.texts("#news li")) == 1
    level = {"wanted": "read", "had": "load", "reason": "it has threads", "is_auto": False}
    listener["level"] = level
    trouble = "at level load, not read: it has threads"
    wait_for(lambda: trouble in page.texts("[data-at=trouble]"), "the fall-back on its service")
    assert f"echo: {trouble}" in page.texts("#news li span")


def test_news_that_go_on_leave_room_for_others(page: Browser, control: ControlSocket) -> None:
    """Two that come each second are two items, whichever came last."""
    one, other = (service["listeners"][0] for service in control.document["services"])
    for more in range(1, 4):
        one["refused"]["denied"] += 1
        other["connections"]["ended"]["time"] += 1
        for told in (
            f"echo: {more} client{'s' * (more > 1)} sent away, denied by a rule",
            f"web: {more} connection{'s' * (more > 1)} ended by a limit",
        ):
            wait_for(functools.partial(_is_told, page, told), told)
    texts = page.texts("#news li")
    assert sum("sent away" in text or "by a limit" in text for text in texts) == 2


def test_drained_service_has_numbers(page: Browser, control: ControlSocket) -> None:
    """It may have no worker at all, and what fails elsewhere is told beside what comes."""
    drained, fails = (service["listeners"][0] for service in control.document["services"])
    drained["workers"] |= {"busy": 0, "max": 0}
    fails["connections"]["closed"]["failed"] += 5
    fails["connections"]["accepted"] += 5
    control.document["server"]["answered_at"] += 1
    wait_for(lambda: page.texts("[data-at=share]")[0] == "\u2013", "no share of nobody")
    assert page.texts("[data-at=failing]") == ["", ", 5 of them fail"]


def _is_told(page: Browser, text: str) -> bool:
    return text in page.texts("#news li span")


def test_search_is_by_keyboard(page: Browser) -> None:
    """A slash leads to the search, words narrow the list, Escape brings it back."""
    page.type("body", "/")
    assert page.run("return document.activeElement.id") == "search"
    page.type("#search", "fcgi unix:")
    assert page.texts("#nothing") == ["No service has that in it."]
    page.run("document.getElementById('search').value = ''")
    page.type("#search", "unix: WEB")
    assert page.texts(".listener:not([hidden]) h3") == ["web"]
    assert page.text("#count") == "1 of 2 listeners"
    page.type("#search", "\ue00c")  # Escape, as WebDriver has it
    assert page.texts(".listener:not([hidden]) h3") == ["echo", "web"]
    assert page.run("return document.activeElement.id") == ""


def test_page_says_that_the_server_is_gone(page: Browser, control: ControlSocket) -> None:
    """Without an answer an alert says since when, and what was shown stays; then it goes."""
    control.raw = b"nonsense"
    wait_for(lambda: page.texts("#gone-text") != [""], "the alert")
    assert page.text("#gone-text").startswith("The server has not answered since ")
    assert page.run("return document.getElementById('gone').getAttribute('role')") == "alert"
    assert page.texts(".listener h3") == ["echo", "web"]
    control.raw = None
    wait_for(lambda: page.run("return document.getElementById('gone').hidden"), "no alert")


def test_page_asks_nobody_else(page: Browser) -> None:
    """All that the browser loads is from the server itself."""
    loaded = page.run(
        "return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:'))"
        ".map(e => new URL(e.name).origin + new URL(e.name).pathname)"
    )
    origin = page.run("return location.origin")
    assert set(loaded) == {f"{origin}/status.json"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_is_accessible(page: Browser, scheme: str) -> None:
    """At three widths nothing is wider than the screen, and axe finds no fault, folded or not."""
    spec = importlib.util.find_spec(AXE)
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    page.run(Path(spec.origin).with_name("axe.min.js").read_text() + "; window.axe = axe;")
    page.click(".listener summary")
    for width, height in WIDTHS.values():
        page.show_as(width, height, scheme)
        assert page.run("return document.documentElement.scrollWidth") <= width
        faults = page.run(
            "return axe.run({resultTypes: ['violations']}).then(r => r.violations.map(v =>"
            " v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join('; ')))"
        )
        assert faults == [], width
