"""A copy of an indexed video that every browser plays, for a source that it cannot: the same frames at the same times.

It lies in the folder of the index, so that it goes with it: when the index is removed, made anew, or rewritten without
somebody. It is derived and disposable; the copies of a store together are kept within a limit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import av.error
import numpy as np

from facereel.indexer.media.clock import UNTIMED
from facereel.indexer.media.container import error_text, open_video, picture_stream, sound_stream
from facereel.indexer.media.source import check_source
from facereel.query.clips.cutter import FrameMissingError, exact_frames
from facereel.query.clips.mp4 import ClipFile, Encoding, colours_of, planes_of
from facereel.query.records import Footage
from facereel.store.files.disk import unwritable
from facereel.store.files.folders import index_folders
from facereel.store.files.locks import OwnerLock
from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import CutError, NotIndexedError, StoreError, VideoError
from facereel.store.model.records import Video

PROXY = "proxy.mp4"
_LONGER_SIDE = 1280  # pixels; a player in a page is no larger
# For watching, not for keeping: on two cores twice as fast as what clips are cut with.
_ENCODING = Encoding(
    options={"preset": "superfast", "crf": "23", "profile": "high", "bf": "0"}, every_track=False
)

# What Chromium, Firefox and Safari all play as a file, by FFmpeg's names.
_PLAYED = {
    "mov,mp4,m4a,3gp,3g2,mj2": (frozenset({"h264"}), frozenset({"aac", "mp3"})),
    "matroska,webm": (frozenset({"vp8", "vp9"}), frozenset({"opus", "vorbis"})),
}
_PIXELS = frozenset({"yuv420p", "yuvj420p"})


def plays_in_browsers(video: Video) -> bool:
    """Whether a browser plays the source itself, with its frames at the times of the index; raises VideoError."""
    # Browsers count from the file's zero, the index from the first picture or sound: by less than a quarter of a frame
    # apart, each frame is still the nearest to its time.
    apart = abs(video.origin_pts * video.time_base * video.frame_rate)
    if video.restarts or video.mirrored or apart > 1 / 4:
        return False
    status = os.stat(video.path)
    return _is_played(Path(video.path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _is_played(path: Path, size: int, mtime_ns: int) -> bool:
    """Whether browsers play a file as it was with that size and time: a page asks for each moment that it shows."""
    with open_video(path) as container:
        stream, sound = picture_stream(container, path), sound_stream(container)
        pictures, sounds = _PLAYED.get(container.format.name, (frozenset[str](), frozenset[str]()))
        # Of several, browsers take the first.
        first = container.streams.video[0].index == stream.index
        return (
            first
            and container.format.name not in UNTIMED
            and stream.codec_context.codec.canonical_name in pictures
            and stream.codec_context.pix_fmt in _PIXELS
            and (sound is None or sound.codec_context.codec.canonical_name in sounds)
        )


def find_proxy(folder: Path) -> Path | None:
    """The proxy in the folder of an index, which counts as used now; None where there is none."""
    path = folder / PROXY
    if not path.is_file():
        return None
    with suppress(OSError):
        os.utime(path)
    return path


def write_proxy(index: VideoIndex, on_frame: Callable[[int, int], None], limit: int) -> Path:
    """Make the proxy of a video, unless it is there, and delete those unused for longest above `limit` bytes.

    `on_frame` gets how many frames are done, and of how many; what it raises, no OSError, stops the work and leaves
    nothing. Raises VideoError, CutError; StoreError where another process makes it, NotIndexedError where the index was
    replaced meanwhile, UnwritableError.
    """
    folder = index.folder
    if (there := find_proxy(folder)) is not None:
        return there
    check_source(index.video, store=folder.parent)
    lock = OwnerLock(folder / f".{PROXY}.lock")
    try:
        if not lock.try_acquire():
            raise StoreError(
                f"{printable(index.video.name)} is prepared for playing by another process; wait for it"
            )
        try:
            _write(index, on_frame)
        finally:
            lock.release()
    except VideoError:
        check_source(index.video, store=folder.parent)  # what to do where the source went meanwhile
        raise
    except FileNotFoundError as error:  # FFmpeg's is one, too
        raise NotIndexedError(
            f"the index of {printable(index.video.name)} was removed or made anew meanwhile; open the video again"
        ) from error
    except av.error.FFmpegError as error:
        raise CutError(
            f"{printable(index.video.name)} cannot be prepared for playing ({error_text(error)}); "
            "check the free disk space and the video"
        ) from error
    except OSError as error:
        raise unwritable(folder, error) from error
    _keep_within(folder, limit)
    return folder / PROXY


def _write(index: VideoIndex, on_frame: Callable[[int, int], None]) -> None:
    video, times = index.video, index.times()
    footage = _whole(index)
    file: ClipFile | None = None
    try:
        with open_video(Path(video.path)) as container:
            for number, frame in exact_frames(container, video, times, (0, video.frame_count), None):
                if file is None:
                    colours = colours_of(frame)
                    file = ClipFile(footage, index.folder, colours, _ENCODING)
                on_frame(number, video.frame_count)
                file.write(planes_of(frame, colours), frame)
        if file is not None:
            file.finish()
            file = None
    except FrameMissingError as error:
        raise CutError(
            f"frame {error.args[0]} of {printable(video.name)} is not where it was when the video was indexed; "
            "index it again with --force"
        ) from None
    finally:
        if file is not None:
            file.discard()


def _whole(index: VideoIndex) -> Footage:
    """All frames of a video as they are displayed, no larger than a page shows them.

    A file begins with its first picture: it is shown from 0:00 on, where a player would wait for it, so that all others
    have the times of the index.
    """
    video, times = index.video, index.times()
    scale = min(1.0, _LONGER_SIDE / max(video.width, video.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (video.width, video.height))
    ticks = np.append(times.pts, times.end_pts(video.frame_count))
    ticks[0] = min(int(ticks[0]), video.origin_pts)
    crop = np.array([0, 0, video.width, video.height], np.float32)
    crops = np.broadcast_to(crop, (video.frame_count, 4))
    return Footage(video, PROXY, 0, video.frame_count, ticks, crops, width, height)


def _keep_within(folder: Path, limit: int) -> None:
    """Delete the proxies of a store that were not used for longest, until the rest is small enough; never its own."""
    proxies = []
    with suppress(StoreError):
        for other in index_folders(folder.parent):
            with suppress(OSError):
                status = (other / PROXY).stat()
                proxies.append((other == folder, status.st_mtime_ns, status.st_size, other / PROXY))
    total = sum(size for _, _, size, _ in proxies)
    for own, _, size, path in sorted(proxies):
        if total <= limit or own:
            return
        with suppress(OSError):  # it is being played, on Windows
            path.unlink()
            total -= size
