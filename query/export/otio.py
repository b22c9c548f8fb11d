"""A timeline as OpenTimelineIO's JSON, written by its own library."""

from __future__ import annotations

import opentimelineio as oti
from opentimelineio.opentime import RationalTime, TimeRange

from facereel.query.export.timeline import Event, Media, Timeline
from facereel.store.files.names import one_line

# Its rates are floats; those of 1000/1001 are the nearest ones.
COLOURS = ("RED", "GREEN", "BLUE", "CYAN", "MAGENTA", "YELLOW", "ORANGE", "PURPLE", "PINK", "WHITE")


def otio(timeline: Timeline) -> str:
    """The timeline: a picture track, and a sound track if a file has sound; each clip with a marker of its person."""
    rate = float(timeline.rate)
    document = oti.schema.Timeline(
        one_line(timeline.name), global_start_time=RationalTime(timeline.start, rate)
    )
    kinds = [oti.schema.TrackKind.Video]
    if any(media.channels for media in timeline.media):
        kinds.append(oti.schema.TrackKind.Audio)
    for kind in kinds:
        track = oti.schema.Track(name=kind, kind=kind)
        for event in timeline.events:
            silent = kind == oti.schema.TrackKind.Audio and not event.media.channels
            track.append(
                oti.schema.Gap(duration=RationalTime(event.length, rate)) if silent else _clip(event)
            )
        document.tracks.append(track)
    return str(oti.adapters.write_to_string(document, "otio_json")) + "\n"


def _clip(event: Event) -> oti.schema.Clip:
    facts = {"person": one_line(event.person), "certainty": event.certainty, "similarity": event.similarity}
    if event.distance:
        facts["seconds_from_source"] = float(event.distance)
    marker = oti.schema.Marker(
        one_line(event.person),
        _range(event.media, event.person_start, event.person_end),
        COLOURS[event.colour % len(COLOURS)],
        {"facereel": facts},
    )
    reel = {"reel": one_line(event.media.reel or "")}
    source = oti.schema.ExternalReference(
        event.media.url,
        _range(event.media, 0, event.media.frame_count),
        {"facereel": reel},
    )
    source.name = one_line(event.media.name)
    clip = oti.schema.Clip(
        one_line(event.media.name),
        source,
        _range(event.media, event.start, event.end),
        {"facereel": facts},
    )
    clip.markers.append(marker)
    return clip


def _range(media: Media, start: int, end: int) -> TimeRange:
    """Frames of a file's grid, in its timecode."""
    rate = float(media.rate)
    return TimeRange(RationalTime(media.start + start, rate), RationalTime(end - start, rate))
