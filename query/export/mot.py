"""The faces of a video as ground truth of the MOT Challenge, a folder: https://motchallenge.net/instructions, and
Dendorfer et al., "MOT20: A benchmark for multi object tracking in crowded scenes", 2020.

Boxes are whole, also beyond the picture's edge, as the challenge has them; `visibility` says how much of a box lies in
the picture. What else hides a face is not measured. Boxes count pixels from 0: the readers of the format shift nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np

from facereel.query.export.annotation import LABEL, AnnotatedVideo, boxes_of, clipped
from facereel.query.export.metadata import cell
from facereel.store.files.names import one_line

FOLDER = "_mot"  # how the name of the folder ends, which is also the name of the sequence


def ground_truth(annotated: AnnotatedVideo) -> Iterator[str]:
    """The lines of `gt.txt`: frame from 1, id, left, top, width, height, 1 as it counts, 1 as its class, visibility."""
    runs = [(tracklet.number, run) for tracklet in annotated.tracklets for run in tracklet.runs]
    frames = np.concatenate([run.frames for _, run in runs])
    numbers = np.concatenate([np.full(len(run), number, np.int64) for number, run in runs])
    boxes = np.concatenate([boxes_of(run) for _, run in runs])
    inside = clipped(boxes, annotated.video)[:, 2:].prod(axis=1)
    visible = np.minimum(inside / np.maximum(boxes[:, 2:].prod(axis=1), 1e-6), 1)
    for place in np.lexsort((numbers, frames)):
        x, y, w, h = boxes[place]
        yield (
            f"{frames[place] + 1},{numbers[place]},{x:.2f},{y:.2f},{w:.2f},{h:.2f},1,1,{visible[place]:.3f}\n"
        )


def labels(annotated: AnnotatedVideo) -> Iterator[str]:
    """`labels.txt`: the name of class 1, which CVAT and Datumaro would take for a pedestrian."""
    yield f"{LABEL}\n"


def seqinfo(annotated: AnnotatedVideo) -> Iterator[str]:
    """`seqinfo.ini`; the rate is a whole number, because readers take no other."""
    video = annotated.video
    # Python's reader of such files, which MOT tools use, has %% for a per cent sign.
    name = one_line(f"{annotated.name}{FOLDER}").replace("%", "%%")
    yield (
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate={max(1, round(video.frame_rate))}\n"
        f"seqLength={video.frame_count}\nimWidth={video.width}\nimHeight={video.height}\nimExt=.jpg\n"
    )


def tracks(annotated: AnnotatedVideo) -> Iterator[str]:
    """`tracks.csv`: whom each id shows, for which the format has no place; UTF-8 with a byte order mark."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("id", "person", "certainty"))
    for tracklet in annotated.tracklets:
        writer.writerow((tracklet.number, cell(one_line(tracklet.person)), tracklet.certainty or ""))
    yield f"\ufeff{text.getvalue()}"
