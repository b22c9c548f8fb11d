"""A timeline as xmeml 5, the XML of Final Cut Pro 7, which Premiere and Resolve read; Apple's "Final Cut Pro XML
Interchange Format" describes the elements."""

from __future__ import annotations

from fractions import Fraction
from xml.etree.ElementTree import Element, SubElement

from facereel.query.export.timecode import base_of, timecode_of
from facereel.query.export.timeline import Event, Media, Timeline
from facereel.query.export.xml_text import xml_text
from facereel.store.files.names import one_line

_MAX_TRACKS = 2  # of sound: as an EDL has
_ENABLED = "TRUE"  # what is left out is so too, but readers exist that look for it


def xmeml(timeline: Timeline) -> str:
    """The timeline: a picture track and up to two sound tracks, linked; each clip with a marker of its person."""
    root = Element("xmeml", version="5")
    sequence = SubElement(root, "sequence", id="sequence-1")
    _text(sequence, "name", one_line(timeline.name))
    _text(sequence, "duration", timeline.length)
    _rate(sequence, timeline.rate)
    _timecode(sequence, timeline.start, timeline)
    media = SubElement(sequence, "media")
    video = SubElement(media, "video")
    size = SubElement(SubElement(video, "format"), "samplecharacteristics")
    _rate(size, timeline.rate)
    _size(size, timeline.media[0])
    described: set[Media] = set()  # a file is described where it first appears, then named by its id
    _track(video, timeline, 0, described)
    audio = SubElement(media, "audio")
    for channel in range(1, 1 + max(min(_MAX_TRACKS, file.channels) for file in timeline.media)):
        _track(audio, timeline, channel, described)
    return xml_text(root, "xmeml")


def _track(parent: Element, timeline: Timeline, channel: int, described: set[Media]) -> None:
    """The track of the picture (`channel` 0) or of one channel of the sound."""
    track = SubElement(parent, "track")
    for number, event in enumerate(timeline.events, start=1):
        if channel > event.media.channels:
            continue
        item = SubElement(track, "clipitem", id=_item(number, channel))
        _text(item, "name", one_line(event.media.name))
        _text(item, "enabled", _ENABLED)
        _text(item, "duration", event.media.frame_count)
        _rate(item, timeline.rate)
        _text(item, "start", event.record)
        _text(item, "end", event.record + event.length)
        _text(item, "in", event.start)
        _text(item, "out", event.end)
        _file(item, timeline, event.media, described)
        if channel:
            source = SubElement(item, "sourcetrack")
            _text(source, "mediatype", "audio")
            _text(source, "trackindex", channel)
        for other in range(1 + min(_MAX_TRACKS, event.media.channels)):
            link = SubElement(item, "link")
            _text(link, "linkclipref", _item(number, other))
            _text(link, "mediatype", "audio" if other else "video")
            _text(link, "trackindex", other or 1)
        if not channel:
            _marker(item, event)
    _text(track, "enabled", _ENABLED)


def _file(item: Element, timeline: Timeline, media: Media, described: set[Media]) -> None:
    file = SubElement(item, "file", id=f"file-{timeline.media.index(media) + 1}")
    if media in described:
        return
    described.add(media)
    _text(file, "name", one_line(media.name))
    _text(file, "pathurl", media.url)
    _rate(file, media.rate)
    _text(file, "duration", media.frame_count)
    _timecode(file, media.start, media)
    tracks = SubElement(file, "media")
    _size(SubElement(SubElement(tracks, "video"), "samplecharacteristics"), media)
    if media.channels:
        audio = SubElement(tracks, "audio")
        _text(SubElement(audio, "samplecharacteristics"), "samplerate", media.sound_rate)
        _text(audio, "channelcount", media.channels)


def _marker(item: Element, event: Event) -> None:
    marker = SubElement(item, "marker")
    _text(marker, "name", one_line(event.person))
    comment = f"{event.certainty}, similarity {event.similarity:.2f}"
    if event.distance:
        comment += f", up to {float(event.distance):.4f} s from the source, whose rate varies"
    _text(marker, "comment", comment)
    _text(marker, "in", event.person_start)
    _text(marker, "out", event.person_end)


def _item(number: int, channel: int) -> str:
    return f"clipitem-{number}-{channel}"


def _rate(parent: Element, rate: Fraction) -> None:
    """A whole number of frames, slower by 1000/1001 if `ntsc`: 23.976 is 24 so."""
    element = SubElement(parent, "rate")
    _text(element, "timebase", base_of(rate))
    _text(element, "ntsc", "FALSE" if rate.denominator == 1 else "TRUE")


def _timecode(parent: Element, frame: int, clock: Media | Timeline) -> None:
    element = SubElement(parent, "timecode")
    _rate(element, clock.rate)
    _text(element, "string", timecode_of(frame, clock.rate, clock.drop))
    _text(element, "frame", frame)
    _text(element, "displayformat", "DF" if clock.drop else "NDF")
    if isinstance(clock, Media) and clock.reel:
        _text(SubElement(element, "reel"), "name", one_line(clock.reel))


def _size(parent: Element, media: Media) -> None:
    _text(parent, "width", media.width)
    _text(parent, "height", media.height)


def _text(parent: Element, name: str, value: str | int) -> None:
    SubElement(parent, name).text = str(value)
