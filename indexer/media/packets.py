"""The packets of a file in the order in which they lie there, on one clock that only goes on.

Recordings that were joined (transport streams, DVD files) start their clock again in the middle. The picture says
where: the first packet after a restart follows the last one before it, and the sound of the same recording moves by
the same time. A clock that jumps ahead is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import av
import av.error
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from facereel.indexer.media.clock import JUMP_SECONDS, MP4, UNTIMED

Packet: TypeAlias = "av.Packet[Any]"

# Seconds by which decoding times may go back where they are only rounded or guessed.
_TOLERANCE = Fraction(1, 10)
_MAX_DELAY = 1  # seconds from decoding to display: 16 frames at most
# Sound whose clock starts again waits so long for the picture's to do so, seconds.
_MAX_WAIT = Fraction(5)
# Packets of other streams between two of the picture, after which the next one of the picture is not waited for.
_MAX_QUEUE = 1000
# MPEG transport and program streams count in 33 bits. FFmpeg adds the overflow to all times that lie before the first:
# right for a recording that crosses it, wrong for a second one whose clock is behind that of the first.
_33_BITS = frozenset({"mpegts", "mpeg"})


class Placed(NamedTuple):
    """A packet with its times on the clock that goes on."""

    packet: Packet
    restarts: bool = False  # the clock of the file starts again with it
    before_break: bool = False  # the clock starts again or jumps after it: a recording ends with it


def placed_packets(
    container: InputContainer, picture: VideoStream, others: Sequence[Stream] = (), usual: int = 1
) -> Iterator[Placed]:
    """Packets of the picture and of other streams; `usual` is how many ticks a picture lasts that does not say it.

    A seek before is possible in files whose clock does not restart. Raises what FFmpeg raises where the file is torn.
    """
    packets = container.demux(picture, *others)
    if container.format.name in UNTIMED or container.format.name == MP4:
        yield from map(Placed, packets)
        return
    tick = Fraction(picture.time_base or 1)
    clock = _PictureClock(usual, tick, 1 << 33 if container.format.name in _33_BITS else 0)
    clocks = {stream.index: _OtherClock(clock, tick, Fraction(stream.time_base or 1)) for stream in others}
    queue: list[Packet] = []  # a packet of the picture, and those of other streams up to its next one
    torn: Exception | None = None
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError) as error:
            packet, torn = None, error
        of_picture = packet is not None and packet.stream.index == picture.index
        if packet is None or of_picture or len(queue) > _MAX_QUEUE:
            for item in queue:
                if item.stream.index == picture.index:
                    yield clock.place(item, packet.dts if packet is not None and of_picture else None)
                    for other in clocks.values():
                        yield from map(Placed, other.release())
                else:
                    yield from map(Placed, clocks[item.stream.index].place(item))
            queue.clear()
        if packet is None:
            for other in clocks.values():
                yield from map(Placed, other.release(at_end=True))
            if torn is not None:
                raise torn
            return
        queue.append(packet)


@dataclass(slots=True)
class _PictureClock:
    """Places the packets of the picture; its pieces are the stretches between two restarts."""

    usual: int  # ticks
    tick: Fraction  # seconds
    period: int  # ticks after which the file's clock overflows; 0 where it does not
    offsets: list[int] = field(
        default_factory=lambda: [0]
    )  # ticks, from the file's time to ours, of each piece
    expected: int | None = None  # our time of the next packet
    shown: int = 0  # our time at which the last picture so far is over

    def place(self, packet: Packet, following: int | None) -> Placed:
        """Place a packet; `following` is the file's decoding time of the next one.

        A packet whose time is out of line while the next one's is not loses its time: it follows the one before.
        """
        restarts = False
        self._check_delay(packet)
        if packet.dts is not None and self._breaks(packet.dts):
            if following is not None and not self._breaks(following):
                packet.pts = packet.dts = None
            elif self._goes_back(packet.dts) and self.expected is not None:
                restarts = True
                self.offsets.append(self.expected - packet.dts + self._overlap(packet))
        if packet.dts is not None:
            _shift(packet, self._time(packet.dts) - packet.dts)
            self.expected = packet.dts + (packet.duration or self.usual)
        elif packet.size and self.expected is not None:
            _shift(packet, self.offsets[-1])
            self.expected += packet.duration or self.usual
        if packet.pts is not None:
            self.shown = max(self.shown, packet.pts + (packet.duration or self.usual))
        return Placed(packet, restarts, following is not None and self._breaks(following))

    def _check_delay(self, packet: Packet) -> None:
        """Take the display time from a packet of a 33-bit clock where it lies long before the decoding time."""
        if self.period and packet.pts is not None and packet.dts is not None:
            delay = _nearest(packet.pts - packet.dts, 0, self.period)
            packet.pts = packet.dts + delay if delay * self.tick >= -_MAX_DELAY else None

    def _overlap(self, packet: Packet) -> int:
        """Ticks by which the first picture of a recording would be shown before those of the last one are over.

        The two may be stored with different delays from decoding to display.
        """
        if packet.pts is None or packet.dts is None or self.expected is None:
            return 0
        overlap = self.shown - (self.expected + packet.pts - packet.dts)
        return overlap if 0 < overlap * self.tick < _MAX_DELAY else 0

    def _time(self, dts: int) -> int:
        return _nearest(dts + self.offsets[-1], self.expected, self.period)

    def _goes_back(self, dts: int) -> bool:
        if self.expected is None:
            return False
        return (self.expected - self.usual - self._time(dts)) * self.tick > _TOLERANCE

    def _breaks(self, dts: int) -> bool:
        if self.expected is None:
            return False
        return self._goes_back(dts) or (self._time(dts) - self.expected) * self.tick > JUMP_SECONDS


@dataclass(slots=True)
class _OtherClock:
    """Places the packets of another stream in the pieces of the picture's clock."""

    picture: _PictureClock
    picture_tick: Fraction  # seconds
    tick: Fraction
    piece: int = 0
    expected: int | None = None  # our time of the next packet
    waiting: list[Packet] = field(default_factory=list)  # for the picture's clock to start again, too

    def place(self, packet: Packet) -> list[Packet]:
        """The packets whose place is known now."""
        if self.waiting:
            self.waiting.append(packet)
            return []
        if packet.dts is not None and self.expected is not None:
            step = (self._time(packet.dts, self.piece) - self.expected) * self.tick
            if abs(step) > _TOLERANCE and self.piece + 1 < len(self.picture.offsets):
                self.piece = self._nearest_piece(packet.dts)
            elif step < -_TOLERANCE:
                self.waiting.append(packet)
                return []
        return [self._placed(packet)]

    def release(self, at_end: bool = False) -> list[Packet]:
        """The packets that waited, once the picture's clock has started again, or did not for long."""
        times = [packet.dts for packet in self.waiting if packet.dts is not None]
        if self.waiting and self.piece + 1 < len(self.picture.offsets):
            self.piece += 1
        elif not at_end and (not times or (times[-1] - times[0]) * self.tick < _MAX_WAIT):
            return []
        released, self.waiting = self.waiting, []
        return [self._placed(packet) for packet in released]

    def _nearest_piece(self, dts: int) -> int:
        """The piece in which a packet lies next to the picture beside it."""
        beside = round((self.picture.expected or 0) * self.picture_tick / self.tick)
        pieces = range(self.piece, len(self.picture.offsets))
        return min(pieces, key=lambda piece: abs(self._time(dts, piece) - beside))

    def _time(self, dts: int, piece: int) -> int:
        period = round(self.picture.period * self.picture_tick / self.tick)
        return _nearest(dts + self._offset(piece), self.expected, period)

    def _offset(self, piece: int) -> int:
        return round(self.picture.offsets[piece] * self.picture_tick / self.tick)

    def _placed(self, packet: Packet) -> Packet:
        if packet.dts is not None:
            _shift(packet, self._time(packet.dts, self.piece) - packet.dts)
            self.expected = packet.dts + (packet.duration or 0)
        return packet


def _nearest(time: int, expected: int | None, period: int) -> int:
    """Of all times that look alike on a clock that overflows, the one next to what is expected."""
    return time if expected is None or not period else time - round((time - expected) / period) * period


def _shift(packet: Packet, ticks: int) -> None:
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
