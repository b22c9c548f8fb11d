"""A timeline as an edit decision list, CMX 3600: https://xmil.biz/EDL-X/CMX3600.pdf, with the comments of Avid."""

from __future__ import annotations

import re
from collections.abc import Iterator

from facereel.query.export.timeline import Event, Timeline
from facereel.store.files.names import one_line

NO_REEL = "AX"  # an auxiliary source, which is known by the name of its clip
MAX_REEL = 32  # characters that Avid, Resolve and Premiere read; a tape machine read 8
COLOURS = ("RED", "GREEN", "BLUE", "CYAN", "MAGENTA", "YELLOW", "WHITE")


def edl(timeline: Timeline) -> str:
    """The list: an event a clip, with its file, whom it shows, and a marker (`LOC`) where the person appears."""
    return "\n".join(_lines(timeline)) + "\n"


def _lines(timeline: Timeline) -> Iterator[str]:
    yield f"TITLE: {one_line(timeline.name)}"
    yield f"FCM: {'DROP FRAME' if timeline.drop else 'NON-DROP FRAME'}"
    for number, event in enumerate(timeline.events, start=1):
        yield ""
        yield (
            f"{number:03}  {_reel(event):<8} {_channels(event):<5} C        "
            f"{event.source_timecode(event.start)} {event.source_timecode(event.end)} "
            f"{timeline.timecode(event.record)} {timeline.timecode(event.record + event.length)}"
        )
        yield f"* FROM CLIP NAME: {one_line(event.media.name)}"
        yield f"* SOURCE FILE: {one_line(event.media.file)}"
        yield f"* COMMENT: {event.certainty}, similarity {event.similarity:.2f}"
        if event.distance:
            yield f"* COMMENT: UP TO {float(event.distance):.4f} S FROM THE SOURCE, WHOSE RATE VARIES"
        # With colons also where frames are dropped, as readers of this comment expect; FCM says what they count.
        appears = timeline.timecode(event.record + event.person_start - event.start).replace(";", ":")
        yield f"* LOC: {appears} {COLOURS[event.colour % len(COLOURS)]:<7} {one_line(event.person)}"


def _reel(event: Event) -> str:
    """The reel's name with what the format allows: letters, digits and a few marks, no spaces."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", event.media.reel or "")[:MAX_REEL] or NO_REEL


def _channels(event: Event) -> str:
    return ("V", "B", "AA/V")[min(event.media.channels, 2)]
