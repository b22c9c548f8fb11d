"""A timeline as FCPXML 1.10, for Final Cut Pro and Resolve; Apple's "FCPXML Reference" describes the elements."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from xml.etree.ElementTree import Element, SubElement

from facereel.query.export.timeline import Event, Media, Timeline
from facereel.query.export.xml_text import xml_text
from facereel.store.files.names import one_line


def fcpxml(timeline: Timeline) -> str:
    """The timeline: a project with a clip and a marker for each event; times are exact multiples of a frame."""
    root = Element("fcpxml", version="1.10")
    resources = SubElement(root, "resources")
    formats = _formats(resources, timeline)
    assets = {media: f"a{number}" for number, media in enumerate(timeline.media, start=1)}
    for media, name in assets.items():
        _asset(resources, media, name, formats[media.width, media.height])
    event = SubElement(root, "event", name=one_line(timeline.name))
    project = SubElement(event, "project", name=one_line(timeline.name))
    first = timeline.media[0]
    sequence = SubElement(
        project, "sequence", format=formats[first.width, first.height], tcStart=_time(timeline.start, timeline),
        tcFormat=_timecode_format(timeline), duration=_time(timeline.length, timeline),
    )  # fmt: skip
    spine = SubElement(sequence, "spine")
    for clip in timeline.events:
        _clip(spine, clip, timeline, assets)
    return xml_text(root, "fcpxml")


def _formats(resources: Element, timeline: Timeline) -> dict[tuple[int, int], str]:
    """A format for each size of picture, by width and height."""
    sizes = dict.fromkeys((media.width, media.height) for media in timeline.media)
    formats = {size: f"f{number}" for number, size in enumerate(sizes, start=1)}
    for (width, height), name in formats.items():
        SubElement(
            resources, "format", id=name, frameDuration=_time(1, timeline), width=str(width), height=str(height)
        )  # fmt: skip
    return formats


def _asset(resources: Element, media: Media, name: str, picture_format: str) -> None:
    asset = SubElement(
        resources, "asset", id=name, name=one_line(media.name), start=_time(media.start, media),
        duration=_time(media.frame_count, media), format=picture_format, hasVideo="1", videoSources="1",
    )  # fmt: skip
    if media.channels:
        asset.attrib.update(
            hasAudio="1", audioSources="1", audioChannels=str(media.channels), audioRate=str(media.sound_rate)
        )
    SubElement(asset, "media-rep", kind="original-media", src=media.url)
    if media.reel:
        metadata = SubElement(asset, "metadata")
        SubElement(metadata, "md", key="com.apple.proapps.studio.reel", value=one_line(media.reel))


def _clip(spine: Element, event: Event, timeline: Timeline, assets: Mapping[Media, str]) -> None:
    media = event.media
    clip = SubElement(
        spine, "asset-clip", ref=assets[media], name=one_line(media.name),
        offset=_time(timeline.start + event.record, timeline), start=_time(media.start + event.start, media),
        duration=_time(event.length, media), tcFormat=_timecode_format(media),
    )  # fmt: skip
    note = f"{event.certainty}, similarity {event.similarity:.2f}"
    if event.distance:
        note += f", up to {float(event.distance):.4f} s from the source, whose rate varies"
    SubElement(
        clip, "marker", start=_time(media.start + event.person_start, media), duration=_time(1, media),
        value=one_line(event.person), note=note,
    )  # fmt: skip


def _time(frames: int, clock: Media | Timeline) -> str:
    """Frames as the format spells time: a fraction of seconds, `1001/24000s`."""
    seconds = Fraction(frames) / clock.rate
    return f"{seconds.numerator}/{seconds.denominator}s" if seconds.denominator > 1 else f"{seconds}s"


def _timecode_format(clock: Media | Timeline) -> str:
    return "DF" if clock.drop else "NDF"
