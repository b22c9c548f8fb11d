"""Calls that the user asked for when a video is done: a program, an address.

Each call is made by a thread of its own, one after the other in order, so that indexing does not wait; it has a time
limit, and whatever is wrong with it is noted and stops nothing. The content of the events is the caller's.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from types import TracebackType
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from facereel.api import OptionError
from facereel.store.files.names import printable, with_escapes

COMMAND_SECONDS = 60.0
URL_SECONDS = 10.0
_MOST_WORDS = 200  # characters of what a program said that are passed on


class Hooks:
    """What is called for each event, until the `with` block ends; then calls that wait are still made."""

    def __init__(self, command: str | None, url: str | None, note: Callable[[str], None]) -> None:
        """`command` is split as a shell does and run without one, with the event as JSON on its standard input;
        `url` gets the same by POST. `note` gets a sentence for each call that failed, in another thread.

        Raises OptionError for a command that cannot be split, and for an address that is not of HTTP.
        """
        self._command = None if command is None else _words(command)
        if url is not None:
            _check_url(url)
        self._url, self._note = url, note
        self._threads = ThreadPoolExecutor(1, "hooks")

    def __enter__(self) -> Hooks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=kind is not None)

    def send(self, event: Mapping[str, Any]) -> None:
        """Make the calls for an event, after those before it."""
        content = json.dumps(with_escapes(event)).encode() + b"\n"
        if self._command is not None:
            self._threads.submit(self._run, self._command, content)
        if self._url is not None:
            self._threads.submit(self._post, self._url, content)

    def _run(self, command: list[str], content: bytes) -> None:
        name = printable(command[0])
        try:
            done = subprocess.run(
                command,
                input=content,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            self._note(f"--on-done: {name} was ended, it took longer than {COMMAND_SECONDS:.0f} s")
        except (OSError, ValueError) as error:
            self._note(f"--on-done: {name} cannot be run: {getattr(error, 'strerror', None) or error}")
        else:
            if done.returncode:
                words = printable(" ".join(done.stderr.decode(errors="replace").split())[:_MOST_WORDS])
                self._note(
                    f"--on-done: {name} ended with code {done.returncode}" + (f": {words}" if words else "")
                )

    def _post(self, url: str, content: bytes) -> None:
        from http.client import HTTPException  # here, because both take long to import
        from urllib.request import HTTPRedirectHandler, Request, build_opener

        class NoRedirect(HTTPRedirectHandler):
            """A POST that is sent elsewhere would become a GET without the event."""

            def redirect_request(self, *args: Any) -> None:
                return None

        request = Request(url, content, {"Content-Type": "application/json"}, method="POST")
        failures: list[str] = []

        def post() -> None:
            try:
                build_opener(NoRedirect).open(request, timeout=URL_SECONDS).close()
            except (URLError, HTTPException, OSError, ValueError) as error:
                reason = printable(str(getattr(error, "reason", None) or error))
                failures.append(f"{error.code} {reason}" if hasattr(error, "code") else reason)

        # The time limit of a socket is one for each piece that comes: a server that sends a byte now and then would
        # hold up all calls. Its thread is left behind, and does not keep the program from ending.
        thread = Thread(target=post, daemon=True)
        thread.start()
        thread.join(URL_SECONDS)
        if thread.is_alive():
            failures.append(f"no answer within {URL_SECONDS:.0f} s")
        for failure in failures[:1]:
            self._note(f"--on-done-url: {printable(urlsplit(url).netloc)} did not take an event: {failure}")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that cannot be
        right = False
    if not right:
        raise OptionError(f"{printable(url)} is no address of http or https; write https://HOST/PATH")
    if parts.username is not None:  # nothing would send it, and messages would show the password
        raise OptionError(
            "the address of --on-done-url names a user, who is not sent; write https://HOST/PATH"
        )


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise OptionError(f"the command {printable(command)} cannot be split into words: {error}") from error
    if not words:
        raise OptionError("the command of --on-done is empty; name a program")
    return words
