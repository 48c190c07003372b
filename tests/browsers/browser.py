"""Firefox and Chromium for tests: a browser in a process of its own, and pages of it on trio.

    with running_browser("firefox") as browser:
        async with browser.page() as page:
            await page.evaluate("async (name) => `hello ${name}`", "world")

`driver.mjs` runs the browser, by puppeteer-core: WebDriver BiDi for Firefox, CDP for Chromium. A
browser outlives the trio loops that use it, so that all tests of a file can share one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.interop.tools import tool

FOLDER = Path(__file__).parent
PROGRAMS = {"firefox": "firefox-esr", "chromium": "chromium"}
_PUPPETEERS_NAMES = {"firefox": "firefox", "chromium": "chrome"}
STOP_TIMEOUT = 20.0
"""Seconds; only failures take as long."""
_RECEIVE_SIZE = 65_536


class PageError(Exception):
    """A function that was called in a page threw, or the browser is gone."""


@attrs.define(slots=False)
class _Question:
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: dict[str, Any] = attrs.field(factory=lambda: {"error": "the browser is gone"})


class Page:
    """A page of a browser, in a context (permissions, storage) of its own; see `Browser.page`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._sending = trio.Lock()
        self._ids = itertools.count()
        self._questions: dict[int, _Question] = {}
        self._is_gone = False

    async def evaluate(self, function: str, *arguments: Any) -> Any:
        """Call a JavaScript function in the page; return what its promise comes to, as JSON.

        Several tasks may do so at a time.

        Raises:
            PageError: it threw, or the browser is gone.

        """
        if self._is_gone:
            raise PageError("the browser is gone")
        number = next(self._ids)
        question = self._questions[number] = _Question()
        try:
            async with self._sending:
                await say(self._stream, id=number, function=function, arguments=arguments)
            await question.answered.wait()
        finally:
            del self._questions[number]
        if "error" in question.answer:
            raise PageError(question.answer["error"])
        return question.answer["value"]

    async def take_answers(self, lines: AsyncIterator[dict[str, Any]]) -> None:
        """Give answers to those who wait for them; `Browser.page` runs it."""
        async for answer in lines:
            if question := self._questions.get(answer["id"]):
                question.answer = answer
                question.answered.set()
        self._is_gone = True
        for question in self._questions.values():
            question.answered.set()


async def say(stream: trio.SocketStream, **values: Any) -> None:
    """Send a line of JSON."""
    try:
        await stream.send_all(json.dumps(values).encode() + b"\n")
    except trio.BrokenResourceError as error:
        raise PageError("the browser is gone") from error


async def read_lines(stream: trio.SocketStream) -> AsyncGenerator[dict[str, Any]]:
    """Read lines of JSON until the end."""
    rest = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while data := await stream.receive_some(_RECEIVE_SIZE):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield json.loads(line)


@attrs.frozen
class Browser:
    """A browser that runs.

    Attributes:
        name: a key of `PROGRAMS`.

    """

    name: str
    _socket: Path

    @contextlib.asynccontextmanager
    async def page(self, *, hides_addresses: bool = False) -> AsyncIterator[Page]:
        """Open an empty page for the length of the block.

        Args:
            hides_addresses: whether its host candidates show mDNS names instead of addresses, as
                they do for pages that may not use the microphone.

        Raises:
            PageError: it can't be opened.

        """
        stream = await trio.open_unix_socket(str(self._socket))
        async with stream, contextlib.aclosing(read_lines(stream)) as lines:
            await say(stream, hidesAddresses=hides_addresses)
            if await anext(lines, None) is None:
                raise PageError(f"{self.name} opens no page")
            async with trio.open_nursery() as nursery:
                page = Page(stream)
                nursery.start_soon(page.take_answers, lines)
                yield page
                nursery.cancel_scope.cancel()


def _make_certificate_database(folder: Path, authority: Path | None) -> None:
    folder.mkdir(parents=True)
    database = ["-d", f"sql:{folder}"]
    commands = [["-N", "--empty-password", *database]]
    if authority is not None:
        commands.append(["-A", "-n", "tests", "-t", "C,,", "-i", str(authority), *database])
    for command in commands:
        done = subprocess.run([tool("certutil"), *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def running_browser(
    name: str, *, namespace: str | None = None, authority: Path | None = None
) -> Iterator[Browser]:
    """Run a headless browser with fake devices for the length of the block.

    Args:
        name: a key of `PROGRAMS`.
        namespace: the network namespace it is to run in; without a route out of there, or another
            interface than `lo`, browsers gather no candidates.
        authority: a certificate (PEM) of whoever signs those of `turns:` servers.

    Raises:
        AssertionError: it does not start; the message has what it said.

    """
    assert (FOLDER / "node_modules").exists(), "make test installs puppeteer-core: npm ci"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        home = Path(folder)
        path, profile = home / "socket", home / "profile"
        # Where the one looks for certificates, and the other.
        for database in (profile, home / ".pki" / "nssdb"):
            _make_certificate_database(database, authority)
        # It has a process group of its own: nothing that the browser started stays behind.
        process = subprocess.Popen(
            [
                *([tool("ip"), "netns", "exec", namespace] if namespace else []),
                tool("node"),
                str(FOLDER / "driver.mjs"),
                _PUPPETEERS_NAMES[name],
                tool(PROGRAMS[name]),
                str(path),
                str(profile),
            ],
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        with process:
            try:
                # Puppeteer gives up after 30 seconds, and then there is no line.
                is_ready = process.stdout is not None and process.stdout.readline() == b"ready\n"
                if not is_ready:
                    log.seek(0)
                    said = log.read().decode(errors="replace")
                    raise AssertionError(f"{name} did not start:\n{said}")
                yield Browser(name, path)
                assert process.stdin is not None
                process.stdin.close()
                process.wait(STOP_TIMEOUT)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
