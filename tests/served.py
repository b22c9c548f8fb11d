"""The page's server over a library that the test may change: `cli.py serve` as a process of its own, or threads."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from facereel import Library
from facereel.indexer.engines.registry import DEFAULT_ENGINE
from facereel.query.web import server
from facereel.store.files.folders import index_folders
from facereel.store.index.rewrite import record_place
from facereel.store.library.catalogue import Catalogue
from tests.program import ROOT

START_SECONDS = 60.0  # on a machine that runs all other tests beside it


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A running server."""

    address: str  # as it printed it, with the token
    store: Path
    root: Path  # below which the page may browse
    out: Path
    pid: int  # of the process it runs in

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        """The port it chose."""
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """One that has been let in with the token and now has the cookie; relative addresses are this site's."""
        with httpx.Client(base_url=self.origin, follow_redirects=True, timeout=30, trust_env=False) as client:
            client.get(self.address).raise_for_status()
            yield client


def copy_store(source: Path, target: Path, *videos: Path) -> Path:
    """A copy of a store that may be changed, known to its library; `videos` are copies of its videos, by name."""
    shutil.copytree(source, target)
    for video in videos:
        (folder,) = target.glob(f"{video.name}-*")
        record_place(folder, video)
    # To a library a copied index is another one; so only the test changes it from here on.
    Catalogue(target).refresh(index_folders(target))
    Catalogue(target).refresh()
    return target


@contextmanager
def serve(
    store: Path,
    root: Path,
    *options: str,
    program: tuple[str, ...] = ("cli.py",),
    end: signal.Signals = signal.SIGINT,
) -> Iterator[Site]:
    """Start a server on a free port and end it with the block; results are written into `root`/outputs.

    It must end by itself when it gets the signal `end`, and may say nothing that looks like a fault.
    """
    out = root / "outputs"
    words = [sys.executable, *program, "serve", "--store", str(store), "--root", str(root), "--out", str(out)]
    process = subprocess.Popen(
        [*words, "--port", "0", "--no-browser", *options],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        start_new_session=True,
    )  # fmt: skip
    lines: list[str] = []
    ready, address = threading.Event(), re.compile(r"http://\S+")

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if address.search(line):
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        ready.wait(START_SECONDS)
        hit = address.search("".join(lines))
        assert hit, f"the server printed no address: {''.join(lines)}"
        yield Site(hit.group(), store, root, out, process.pid)
        assert process.poll() is None, f"the server ended: {''.join(lines)}"
        process.send_signal(end)
        process.wait(20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join(5)
        assert process.stdout is not None
        process.stdout.close()
        if sys.exc_info()[0] is not None:
            sys.stderr.writelines(lines)  # which pytest shows beside the failure
    said = "".join(lines)
    assert "Traceback" not in said, said
    assert process.returncode in ((0, 130) if end == signal.SIGINT else (128 + end,)), said


@contextmanager
def serve_here(store: Path, root: Path, engine: str = DEFAULT_ENGINE) -> Iterator[Site]:
    """As `serve`, by threads of this process: one of its own needs a second of processor time to start."""
    addresses: Queue[str] = Queue()
    servers: Queue[uvicorn.Server] = Queue()

    def stoppable(config: uvicorn.Config) -> uvicorn.Server:
        made = uvicorn.Server(config)
        servers.put(made)
        return made

    out = root / "outputs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "uvicorn", SimpleNamespace(Config=uvicorn.Config, Server=stoppable))
        thread = threading.Thread(
            target=server.serve,
            args=(Library(store, engine=engine), root, out),
            kwargs={"host": "127.0.0.1", "port": 0, "browser": False, "ready": addresses.put},
        )
        thread.start()
        running = servers.get(timeout=START_SECONDS)
    try:
        yield Site(addresses.get(), store, root, out, os.getpid())
    finally:
        running.should_exit = True
        thread.join(START_SECONDS)
    assert not thread.is_alive()
