"""FFmpeg's filters for decoded pictures, one out for each in; the times of the pictures stay."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import av
import av.error
from av.filter import Graph


class PictureFilter:
    """A filter of FFmpeg for pictures of one size and format, which gives one picture for each, in order."""

    def __init__(self, picture: av.VideoFrame, name: str, arguments: str) -> None:
        """Set it up for pictures like this one."""
        self._kind = self._kind_of(picture)
        self._waiting: deque[tuple[av.VideoFrame, bool]] = deque()
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
        )
        self._graph.link_nodes(source, self._graph.add(name, arguments), self._graph.add("buffersink"))
        self._graph.configure()

    @staticmethod
    def _kind_of(picture: av.VideoFrame) -> tuple[str, int, int]:
        return picture.format.name, picture.width, picture.height

    def takes(self, picture: av.VideoFrame) -> bool:
        """Whether it is set up for pictures like this one."""
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
