"""Who is in the picture when, as subtitles to play beside the video: SubRip (SRT) and WebVTT.

Times are rounded down to the millisecond: a cue then begins with its first frame and ends before the first that is not
in it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from facereel.query.export.timeline import Event, Timeline
from facereel.store.files.names import one_line

WORD_JOINER = "\N{WORD JOINER}"  # takes no room and breaks no line


def srt(timeline: Timeline) -> str:
    """SubRip: a cue for each event, with the person's name.

    Players take <b> and {...} for formats and the format has no escape: an invisible character follows the bracket.
    """

    def plain(name: str) -> str:
        return name.replace("<", f"<{WORD_JOINER}").replace("{", f"{{{WORD_JOINER}").replace("-->", "->")

    return "\n".join(f"{number}\n{cue}" for number, cue in enumerate(_cues(timeline, plain, ","), start=1))


def vtt(timeline: Timeline) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1): a cue for each event, with the person's name."""

    def escaped(name: str) -> str:
        return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    return "\n".join(["WEBVTT\n", *_cues(timeline, escaped, ".")])


def _cues(timeline: Timeline, text: Callable[[str], str], mark: str) -> list[str]:
    def order(event: Event) -> tuple[Fraction, Fraction]:
        return event.start_time, event.end_time

    return [
        f"{_clock(event.start_time, mark)} --> {_clock(event.end_time, mark)}\n{text(_label(event))}\n"
        for event in sorted(timeline.events, key=order)
    ]


def _label(event: Event) -> str:
    name = one_line(event.person)
    return name if event.certainty == "sure" else f"{name}?"


def _clock(seconds: Fraction, mark: str) -> str:
    milliseconds = seconds * 1000 // 1
    return (
        f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:{milliseconds // 1000 % 60:02}"
        f"{mark}{milliseconds % 1000:03}"
    )
