"""A browser without a window, driven by the WebDriver protocol (https://www.w3.org/TR/webdriver2/).

Only what the tests of a page need of it: go, read, type, click.
"""

import base64
import http.client
import json
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.processes import kill_marked, marked
from harness.servers import clean_environment
from harness.waiting import CAP_SECONDS, wait_for

DRIVER, BROWSER = "chromedriver", "chromium"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own name for a reference
_START_SECONDS = 45.0
_STARTS = 5
# The sandbox needs a user other than root, and the rest would look beyond this machine.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


# What the driver says of an element while its page is about to be replaced, or is not there yet.
_NOT_YET = ("no such element", "stale element reference", "aborted by navigation")


class BrowserError(AssertionError):
    """The driver could not do what a test has asked for."""

    def __init__(self, what: str, error: str, message: str) -> None:
        super().__init__(f"{what}: {error}: {message}")
        self.error = error


class Browser:
    """One session of a browser with an empty profile."""

    def __init__(self, driver_port: int, profile: str) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", driver_port, timeout=_START_SECONDS
        )
        options = {"args": [*_OPTIONS, f"--user-data-dir={profile}"], "binary": _path_of(BROWSER)}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._path = f"/session/{made['sessionId']}"

    def open(self, url: str) -> None:
        """Load a page, to its end."""
        self._call("POST", f"{self._path}/url", {"url": url})

    def text(self, selector: str) -> str:
        """Return the text of the first element, as it is shown."""
        return str(self._call("GET", f"{self._path}/element/{self._find(selector)}/text"))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"
        answer = self.run(script, selector)
        return [str(text) for text in answer]

    def type(self, selector: str, text: str) -> None:
        """Type into the first element."""
        place = f"{self._path}/element/{self._find(selector)}/value"
        self._call("POST", place, {"text": text})

    def click(self, selector: str) -> None:
        """Click the first element. A page that this leads to may yet have to come."""
        self._call("POST", f"{self._path}/element/{self._find(selector)}/click", {})

    def wait_text(self, selector: str) -> str:
        """Wait for an element of a page that is on its way, and return its text."""

        def look() -> str | None:
            try:
                return self.text(selector)
            except BrowserError as error:
                if error.error not in _NOT_YET:
                    raise
                return None

        text = wait_for(look, f"{selector} on the page")
        assert text is not None
        return text

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401  # JSON
        """Return what a script returns that runs in the page."""
        wanted = {"script": script, "args": list(arguments)}
        return self._call("POST", f"{self._path}/execute/sync", wanted)

    def show_as(self, width: int, height: int, scheme: str = "light") -> None:
        """Show pages on a screen of this size in CSS pixels, in a scheme of colours."""
        self._tell_browser(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._tell_browser("Emulation.setEmulatedMedia", {"features": features})

    def picture(self) -> bytes:
        """Return the page as it is shown, as a PNG, down to its end."""
        shown = self._tell_browser(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True}
        )
        return base64.b64decode(shown["data"])

    def close(self) -> None:
        """End the browser."""
        self._call("DELETE", self._path)
        self._connection.close()

    def _tell_browser(self, command: str, parameters: dict[str, object]) -> Any:  # noqa: ANN401
        """Give a command of the DevTools protocol."""
        wanted = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self._path}/goog/cdp/execute", wanted)

    def _find(self, selector: str) -> str:
        wanted = {"using": "css selector", "value": selector}
        return str(self._call("POST", f"{self._path}/element", wanted)[_ELEMENT])

    def _call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # JSON
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        value = json.loads(answer.read())["value"]
        if answer.status != http.client.OK:
            raise BrowserError(f"{method} {path}", value["error"], value["message"])
        return value


def _path_of(command: str) -> str:
    path = shutil.which(command)
    assert path is not None, f"{command} is not installed"
    return path


def _start_driver(folder: Path, mark: str) -> tuple[subprocess.Popen[bytes], int]:
    """Return a driver that listens, and its port.

    It takes a port that is free of one family of addresses, and ends where that is taken of the
    other: then the next one has better luck.
    """
    said = folder / "driver"
    for _ in range(_STARTS):
        with said.open("w") as output:
            process = subprocess.Popen(
                [_path_of(DRIVER), "--port=0"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment(mark, is_measured=False)
                | {"HOME": str(folder), "TMPDIR": str(folder)},
                start_new_session=True,
            )

        def port() -> list[str]:
            return re.findall(r"successfully on port (\d+)", said.read_text())

        try:
            wait_for(
                lambda process=process, port=port: port() or process.poll() is not None,  # type: ignore[misc]  # its own
                f"{DRIVER} listens",
                _START_SECONDS,
            )
        except AssertionError as error:
            process.kill()
            process.wait()
            raise AssertionError(f"{error}: {said.read_text()}") from None
        if found := port():
            return process, int(found[0])
    raise AssertionError(f"{DRIVER} has ended: {said.read_text()}")


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run a browser; nothing of it is left behind, neither a process nor a file."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(
        prefix="socketd-browser-", ignore_cleanup_errors=True
    ) as folder:
        process, port = _start_driver(Path(folder), mark)
        try:
            browser = Browser(port, f"{folder}/profile")
            yield browser
            browser.close()
        finally:
            process.terminate()
            process.wait(CAP_SECONDS)
            try:
                wait_for(lambda: not marked(mark), "all of the browser is gone")
            finally:
                kill_marked(mark)
