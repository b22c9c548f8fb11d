"""A contact sheet of a video: one row a cluster, with its best face crops and their times, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facereel.indexer.engines.face_crops import aligned_face
from facereel.query.export.sheet import CROPS_IN_A_ROW, SheetRow, draw, drawable, write_png
from facereel.query.text import clock, count
from facereel.store.index.reader import VideoIndex
from facereel.store.index.summary import screen_time
from facereel.store.library.people import LibraryPerson
from facereel.store.model.pooling import SUFFICIENT_QUALITY
from facereel.store.model.records import Cluster, Exemplar, FrameTimes, Image, Tracklet, Video
from facereel.store.model.views import View, shows_face, view_of


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A cluster and the exemplars that are drawn of it."""

    cluster: int
    person: int | None  # the id of whose it is in the library, and the name if there is one
    name: str | None
    seconds: float  # on screen in all
    tracklets: int
    quality_sum: float  # of all exemplars
    exemplars: tuple[Exemplar, ...]  # those drawn, by time
    view: View

    @property
    def recognisable(self) -> bool:
        """Whether a face is to be seen, and in more than one or two poor exemplars."""
        return self.view != "none" and self.quality_sum >= SUFFICIENT_QUALITY


def rows_of(index: VideoIndex, people: Mapping[int, LibraryPerson]) -> list[Row]:
    """A row for each cluster of a video with exemplars: by time on screen, the unrecognisable last.

    `people` are those of the library, by cluster number.
    """
    times, tracklets, exemplars = index.times(), index.tracklets(), index.exemplars()
    rows = []
    for cluster in index.clusters():
        by_tracklet = [exemplars.get(number, ()) for number in cluster.tracklets]
        quality_sum = sum(exemplar.quality for own in by_tracklet for exemplar in own)
        best = best_exemplars(by_tracklet)
        if best:
            seconds = screen_time(cluster, tracklets, index.video, times)
            view = _view(cluster, tracklets, exemplars)
            person = people.get(cluster.number)
            number, name = (None, None) if person is None else (person.id, person.name)
            rows.append(
                Row(cluster.number, number, name, seconds, len(cluster.tracklets), quality_sum, best, view)
            )
    # What shows no face at all comes after faces that are hard to recognise.
    return sorted(rows, key=lambda row: (not row.recognisable, row.view == "none", -row.seconds, row.cluster))


def _view(
    cluster: Cluster, tracklets: Sequence[Tracklet], exemplars: Mapping[int, Sequence[Exemplar]]
) -> View:
    """From which side a cluster shows its face: by the crops of those of its tracklets that show one."""
    frontalities: list[float] = []
    for tracklet in tracklets:
        own = exemplars.get(tracklet.number, ()) if tracklet.cluster == cluster.number else ()
        if own and shows_face(tracklet.face_width, [exemplar.face_probability for exemplar in own]):
            frontalities += [exemplar.frontality for exemplar in own]
    return view_of(frontalities)


def best_exemplars(
    by_tracklet: Sequence[Sequence[Exemplar]], limit: int = CROPS_IN_A_ROW
) -> tuple[Exemplar, ...]:
    """The best exemplar of each tracklet before the second best of any: at most `limit`, by time."""
    ranked = [sorted(own, key=lambda exemplar: -exemplar.quality) for own in by_tracklet]
    ordered = [(rank, -exemplar.quality, exemplar) for own in ranked for rank, exemplar in enumerate(own)]
    ordered.sort(key=lambda item: item[:2])
    best = [exemplar for _, _, exemplar in ordered[:limit]]
    return tuple(sorted(best, key=lambda exemplar: exemplar.frame))


def sheet_row(row: Row, video: Video, times: FrameTimes) -> SheetRow:
    """What is drawn of a cluster."""
    name = drawable(row.name) if row.name else ""
    of_library = "" if row.person is None else f", person {row.person}"
    lines = [f"{clock(row.seconds)[:-2]} on screen", count(row.tracklets, "face track")]
    if name or of_library:
        lines.insert(0, f"cluster {row.cluster}{of_library}")
    if row.view == "none":
        lines.append("no clear face")
    elif not row.recognisable:
        lines.append("hard to recognise")
    elif row.view == "profile":
        lines.append("only from the side")
    crops = [
        (rgb_face(exemplar), clock(video.seconds(int(times.pts[exemplar.frame])))[:-2])
        for exemplar in row.exemplars
    ]
    return SheetRow(name or f"cluster {row.cluster}", tuple(lines), tuple(crops), not row.recognisable)


def rgb_face(exemplar: Exemplar) -> Image:
    """The aligned face of an exemplar (S, S, 3)."""
    return np.ascontiguousarray(aligned_face(exemplar)[..., ::-1])


def write_sheet(
    index: VideoIndex, target: Path, most: int, people: Mapping[int, LibraryPerson]
) -> tuple[list[Row], int]:
    """Draw the `most` first clusters of a video into a PNG; the rows drawn, and how many clusters are not.

    `people` are those of the library, by cluster number. Raises UnwritableError.
    """
    rows, video, times = rows_of(index, people), index.video, index.times()
    shown, left_out = rows[:most], max(0, len(rows) - most)
    title = f"{drawable(video.name)}   {count(len(rows), 'cluster')} in {clock(video.length(times))}"
    footer = (
        f"{count(left_out, 'cluster is', 'clusters are')} not shown; --most N shows more" if left_out else ""
    )
    write_png(draw(title, [sheet_row(row, video, times) for row in shown], footer), target)
    return shown, left_out
