"""Videos that have an address, through fsspec: which there are, and copying one to this machine's disk.

What reads `s3://`, `gs://` or `sftp://` is a package of its own (s3fs, gcsfs, paramiko), which takes its credentials
from where its users keep them. Of an address that gives access by itself, such as a signed one, that part is used to
open it and stands in no message.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from facereel.store.files.kinds import VIDEO_SUFFIXES
from facereel.store.files.names import printable
from facereel.store.model.errors import OptionError, VideoError
from facereel.store.model.urls import Url, without_secrets

PIECE_BYTES = 16 << 20  # of one request, where a server gives parts of a file
SPARE_BYTES = 1 << 30  # that a copy leaves free on the disk


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a server says of a file; enough to tell whether it is another one than it was."""

    size: int  # bytes
    mtime_ns: int  # 0 where the server does not say
    etag: str = ""  # of the content; only where the server does not say the time, and empty where neither

    def is_indexed(self, indexed: RemoteFile | None) -> bool:
        """Whether an index was made of this very file; by the time, since an index holds no etag."""
        return self.mtime_ns != 0 and indexed == self


def find_urls(url: Url) -> list[Url]:
    """The videos that an address stands for: a file, a pattern, or a folder with all folders in it.

    An address that ends like a video is not looked at. Raises OptionError for one that cannot be read here.
    """
    parts = urlsplit(check_url(url))
    pattern = any(sign in parts.path for sign in "*[")
    if not pattern and Path(url.name).suffix.lower() in VIDEO_SUFFIXES:
        return [url]
    try:
        system, path = _open_system(url)
        with _failing(url):
            names = system.glob(path) if pattern else system.find(path)
            found = [Url(system.unstrip_protocol(name)) for name in sorted(names)]
    except VideoError as error:
        raise OptionError(str(error)) from error
    return [one for one in found if Path(one.name).suffix.lower() in VIDEO_SUFFIXES] or [url]


def check_url(url: Url) -> Url:
    """Give an address back; raises OptionError for one that is none, or names a user with a password or a token."""
    try:
        parts = urlsplit(url.full)
    except ValueError as error:
        raise OptionError(f"{printable(url)} is no address ({error}); check it") from error
    if parts.password is not None:
        raise OptionError(
            f"{printable(parts.scheme)}://... has a password, which every process list shows; use a key"
        )
    if parts.username is not None and parts.scheme in ("http", "https"):
        raise OptionError(f"{parts.scheme}://... names a user, which may be a token; use a signed address")
    return url


def stat(url: Url) -> RemoteFile:
    """What the server says of a file; raises VideoError."""
    system, path = _open_system(url)
    with _failing(url):
        info = system.info(path)
        size, modified = info.get("size"), _modified(system, path, info)
        etag = "" if modified else str(info.get("ETag") or info.get("etag") or "")
    if size is None:
        raise VideoError(f"{printable(url)}: the server does not say how long it is; download it first")
    return RemoteFile(int(size), modified, etag)


def _modified(system: Any, path: str, info: dict[str, Any]) -> int:
    """When a file was written last, ns; 0 where the server does not say."""
    try:
        return int(round(system.modified(path).timestamp()) * 10**9)
    except (NotImplementedError, KeyError, AttributeError, TypeError):
        pass
    try:
        return round(parsedate_to_datetime(info["Last-Modified"]).timestamp()) * 10**9
    except (KeyError, TypeError, ValueError):
        return 0


def copy(url: Url, remote: RemoteFile, target: Path) -> Generator[int, None, None]:
    """Copy a file that is as `stat` says to `target`, giving the bytes so far now and then.

    Raises VideoError, also when it is another one afterwards, and OSError where the copy cannot be written.
    """
    size = remote.size
    if shutil.disk_usage(target.parent).free < size + SPARE_BYTES:
        raise VideoError(
            f"{printable(url)} has {size >> 20:,} MiB, and {printable(target.parent)} has no room for it; "
            "free some, or let TMPDIR name another disk"
        )
    system, path = _open_system(url)
    done = 0
    with ExitStack() as stack:
        with _failing(url):
            source = stack.enter_context(system.open(path, "rb", block_size=PIECE_BYTES))
        file = stack.enter_context(open(target, "xb"))
        while done <= size:
            with _failing(url):
                piece = source.read(PIECE_BYTES)
            if not piece:
                break
            file.write(piece)
            done += len(piece)
            yield done
    if done != size or stat(url) != remote:
        raise VideoError(f"{printable(url)} changed while it was copied; index it again")


def _open_system(url: Url) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise VideoError(
            f"{printable(url)} is read through fsspec, which is not installed; run: pip install 'facereel[cluster]'"
        ) from error
    with _failing(url):
        system, path = url_to_fs(url.full)
        return system, str(path)


@contextmanager
def _failing(url: Url) -> Iterator[None]:
    """Turn what a server, a network or a missing package raises into one line."""
    try:
        yield
    except Exception as error:  # each of fsspec's packages has its own
        reason = without_secrets(" ".join(str(error).split())) or type(error).__name__
        remedy = (
            "install that package on every node"
            if isinstance(error, ImportError)
            else "check address and access"
        )
        raise VideoError(f"{printable(url)} cannot be read ({printable(reason[:200])}); {remedy}") from None
