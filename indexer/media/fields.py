"""Interlaced pictures as a player shows them: one whole picture for both fields, at the same time.

FFmpeg's bwdif (the BBC's w3fdif inside yadif's decisions) keeps a still picture sharp and takes the comb out of what
moves. Pictures that the decoder does not flag as interlaced pass as they are, so that soft telecine stays whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import av.error
from av.filter import Graph

_FILTER = "mode=send_frame:parity=auto:deint=interlaced"


def deinterlaced(pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The same number of pictures with the same times.

    From the first interlaced picture on each waits for the next one, whose fields bwdif looks at, too.
    """
    before: av.VideoFrame | None = None
    filters: _Deinterlacer | None = None
    for picture in pictures:
        if filters is not None and not filters.takes(picture):
            yield from filters.push(None)
            before = filters = None
        if filters is None and picture.interlaced_frame:
            filters = _Deinterlacer(picture)
            if before is not None and filters.takes(before):
                filters.push(before, is_context=True)
            before = None
        if filters is not None:
            yield from filters.push(picture)
        else:
            before = picture
            yield picture
    if filters is not None:
        yield from filters.push(None)


class _Deinterlacer:
    """bwdif for pictures of one size and format."""

    def __init__(self, picture: av.VideoFrame) -> None:
        self._kind = self._kind_of(picture)
        self._waiting: deque[tuple[av.VideoFrame, bool]] = deque()
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
        )
        self._graph.link_nodes(source, self._graph.add("bwdif", _FILTER), self._graph.add("buffersink"))
        self._graph.configure()

    @staticmethod
    def _kind_of(picture: av.VideoFrame) -> tuple[str, int, int]:
        return picture.format.name, picture.width, picture.height

    def takes(self, picture: av.VideoFrame) -> bool:
        return self._kind_of(picture) == self._kind

    def push(self, picture: av.VideoFrame | None, is_context: bool = False) -> list[av.VideoFrame]:
        """Add a picture, None after the last; the pictures that are ready. What `is_context` does not come out."""
        if picture is not None:
            self._waiting.append((picture, is_context))
        self._graph.vpush(picture)
        ready = []
        while self._waiting:
            try:
                shown = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            coded, only_context = self._waiting.popleft()
            shown.pts, shown.dts, shown.duration = coded.pts, coded.dts, coded.duration
            shown.time_base = coded.time_base
            if not only_context:
                ready.append(shown)
        return ready
