"""The faces of a video as COCO detections (https://cocodataset.org/#format-data) with track ids: `videos`, `video_id`,
`frame_index` and `track_id` are fields of TAO (https://github.com/TAO-Dataset/tao).

Boxes are clipped to the picture: many programs that train on COCO refuse what lies beyond it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from facereel.query.export.annotation import LABEL, AnnotatedVideo, boxes_of, clipped
from facereel.store.files.names import with_escapes
from facereel.store.model.records import SOURCES, Video

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # one for all items: making it takes as long as using it
_VIDEO = 1  # ids begin with 1, as some readers take 0 for none


def coco(annotated: AnnotatedVideo) -> Iterator[str]:
    """The document in parts, an image for each frame of the video, also those without a face; its id is the number.

    A box that lies wholly outside the picture is left out.
    """
    video = annotated.video
    head = {
        "info": {"description": annotated.name},
        "videos": [
            {
                "id": _VIDEO, "name": video.name, "width": video.width, "height": video.height,
                "fps": round(float(video.frame_rate), 3),
            }
        ],
        "categories": [{"id": 1, "name": LABEL, "supercategory": "person"}],
    }  # fmt: skip
    yield f"{_ENCODER.encode(with_escapes(head))[:-1]}, "
    yield from _array("images", _images(video))
    yield ", "
    yield from _array("annotations", _annotations(annotated))
    yield "}\n"


def _array(name: str, items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A field whose value is an array, an item at a time."""
    yield f'"{name}": ['
    for number, item in enumerate(items):
        yield f"{', ' if number else ''}{_ENCODER.encode(item)}"
    yield "]"


def _images(video: Video) -> Iterator[dict[str, Any]]:
    for frame in range(video.frame_count):
        yield {
            "id": frame, "file_name": f"frame_{frame:06}.jpg", "width": video.width, "height": video.height,
            "video_id": _VIDEO, "frame_index": frame,
        }  # fmt: skip


def _annotations(annotated: AnnotatedVideo) -> Iterator[dict[str, Any]]:
    number = count(1)
    for tracklet in annotated.tracklets:
        person = with_escapes(tracklet.person)
        for run in tracklet.runs:
            boxes = clipped(boxes_of(run), annotated.video).tolist()
            rows = zip(run.frames.tolist(), boxes, run.sources.tolist(), run.scores.tolist(), strict=True)
            for frame, box, source, score in rows:
                if not all(box[2:]):
                    continue
                yield {
                    "id": next(number), "image_id": frame, "category_id": 1, "bbox": box,
                    "area": round(box[2] * box[3], 2), "iscrowd": 0, "segmentation": [], "video_id": _VIDEO,
                    "track_id": tracklet.number, "person": person, "certainty": tracklet.certainty,
                    "source": SOURCES[source], "score": round(score, 4),
                }  # fmt: skip
