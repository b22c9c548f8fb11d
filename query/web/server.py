"""The running server: its address, the browser that is opened with it, and a clean end."""

from __future__ import annotations

import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import uvicorn

from facereel import api
from facereel.query.web.app import guarded
from facereel.query.web.jobs import Jobs
from facereel.query.web.opening import opened
from facereel.query.web.site import Site
from facereel.query.web.uploads import remove_abandoned

_GRACE = 2  # seconds that answers in progress get when the server ends


def serve(
    library: api.Library,
    root: Path,
    out: Path,
    *,
    host: str,
    port: int,
    browser: bool,
    ready: Callable[[str], None],
) -> None:
    """Serve a library until it is interrupted (KeyboardInterrupt) or, in the main thread, terminated (SystemExit).

    `ready` gets the address with the token. `port` 0 is any free one. Raises OptionError for a host or port
    that cannot be had.
    """
    if not root.is_dir():
        raise api.OptionError(f"--root {root} is no folder; name one that is there")
    with closing(_listen(host, port)) as listener:
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(32)
        address = f"http://{_name(host)}:{port}/?token={token}"
        site = Site(library, root.resolve(), out, Jobs())
        remove_abandoned(site.root)
        # Answers go out as they are; nobody else reads a log of who looked at whom.
        config = uvicorn.Config(
            guarded(site, token, port, host), log_level="error", access_log=False, server_header=False, http="h11",
            ws="none", lifespan="off", proxy_headers=False, timeout_graceful_shutdown=_GRACE,
        )  # fmt: skip
        ready(address)
        try:
            with opened(address) if browser else nullcontext(), _terminable():
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            site.jobs.close()


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM ends the program by an exception: uvicorn raises it again once its answers are sent."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server there."""
    return host in ("127.0.0.1", "localhost", "::1")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise api.OptionError(f"--host {host} is no address ({error.strerror}); leave it out") from error
    try:
        # On Windows another user could bind the port too, and be sent the token, unless it is said to be ours alone.
        own = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listener.setsockopt(socket.SOL_SOCKET, own, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise api.OptionError(
            f"nothing can be served at {host}, port {port} ({error.strerror}); "
            "choose another: --port N, or --port 0 for any that is free"
        ) from error
    return listener


def _name(host: str) -> str:
    """How a browser writes a host."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
