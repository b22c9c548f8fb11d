"""The faces of a video as "CVAT for video 1.1", the XML of the annotation tool CVAT:
https://docs.cvat.ai/docs/manual/advanced/xml_format.

Boxes are clipped to the picture, as CVAT does itself with every box that somebody edits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from facereel.query.export.annotation import (
    LABEL,
    AnnotatedTracklet,
    AnnotatedVideo,
    Boxes,
    boxes_of,
    clipped,
)
from facereel.store.files.names import one_line
from facereel.store.model.records import Video


def cvat(annotated: AnnotatedVideo) -> Iterator[str]:
    """The document line by line: a track a tracklet, with a key frame in each frame, so that nothing is interpolated.

    `outside` is set in the first frame after each run of them, and where nothing of the box lies in the picture.
    """
    for line in _lines(annotated):
        yield f"{line}\n"


def _lines(annotated: AnnotatedVideo) -> Iterator[str]:
    video = annotated.video
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "<version>1.1</version>"
    yield "<meta>"
    yield "<task>"
    yield f"<name>{_text(annotated.name)}</name>"
    yield f"<size>{video.frame_count}</size>"
    yield "<mode>interpolation</mode>"
    yield "<overlap>0</overlap>"
    yield f"<labels><label><name>{LABEL}</name><type>rectangle</type><attributes>"
    for name in ("person", "certainty"):
        yield (
            f"<attribute><name>{name}</name><mutable>False</mutable><input_type>text</input_type>"
            "<default_value></default_value><values></values></attribute>"
        )
    yield "</attributes></label></labels>"
    yield f"<original_size><width>{video.width}</width><height>{video.height}</height></original_size>"
    yield f"<source>{_text(video.name)}</source>"
    yield "</task>"
    yield "</meta>"
    for tracklet in annotated.tracklets:
        yield from _track(tracklet, video)
    yield "</annotations>"


def _track(tracklet: AnnotatedTracklet, video: Video) -> Iterator[str]:
    attributes = {"person": tracklet.person, "certainty": tracklet.certainty or ""}
    yield f'<track id="{tracklet.number}" label="{LABEL}" source="auto">'
    for position, run in enumerate(tracklet.runs):
        boxes = clipped(boxes_of(run), video)
        for frame, box in zip(run.frames.tolist(), boxes, strict=True):
            yield from _box(frame, box, not box[2:].all(), attributes)
        end = int(run.frames[-1]) + 1
        following = tracklet.runs[position + 1 : position + 2]
        if end < video.frame_count and not (following and int(following[0].frames[0]) == end):
            yield from _box(end, boxes[-1], True, attributes)
    yield "</track>"


def _box(frame: int, box: Boxes, outside: bool, attributes: Mapping[str, str]) -> Iterator[str]:
    x, y, w, h = box.tolist()
    yield (
        f'<box frame="{frame}" outside="{outside:d}" occluded="0" keyframe="1" xtl="{x:.2f}" ytl="{y:.2f}" '
        f'xbr="{x + w:.2f}" ybr="{y + h:.2f}" z_order="0">'
    )
    for name, value in attributes.items():
        if value:
            yield f'<attribute name="{name}">{_text(value)}</attribute>'
    yield "</box>"


def _text(value: str) -> str:
    return escape(one_line(value))
