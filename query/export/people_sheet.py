"""A contact sheet of a library: one row a person, with the best face crops of all videos, as one picture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from facereel.query.export.contact_sheet import rgb_face
from facereel.query.export.sheet import CROPS_IN_A_ROW, SheetRow, draw, drawable, write_png
from facereel.query.text import clock, count
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.people import LibraryPeople, LibraryPerson
from facereel.store.model.errors import StoreError
from facereel.store.model.records import Exemplar, Image

_CAPTION = 16  # characters of a video's name that fit below a crop


def write_people_sheet(
    people: Sequence[LibraryPerson],
    left_out: int,
    library: LibraryPeople,
    catalogue: Catalogue,
    tracklets: Callable[[VideoIndex, int], Collection[int]],
    target: Path,
) -> None:
    """Draw people into a PNG; `left_out` is how many more there are. Raises UnwritableError.

    `tracklets` gives those of a person in a video. An index that cannot be read gives no crops.
    """
    rows = [_row(person, library, catalogue, tracklets) for person in people]
    title = f"{count(len(people) + left_out, 'person', 'people')} in the library"
    footer = (
        f"{count(left_out, 'person is', 'people are')} not shown; --most N shows more" if left_out else ""
    )
    write_png(draw(title, rows, footer), target)


def _row(
    person: LibraryPerson, library: LibraryPeople, catalogue: Catalogue,
    tracklets: Callable[[VideoIndex, int], Collection[int]],
) -> SheetRow:  # fmt: skip
    lines = [f"{clock(person.seconds)[:-2]} in {count(person.videos, 'video')}"]
    name = drawable(person.name or "")
    if name:
        lines.insert(0, f"person {person.id}")
    if person.hidden:
        lines.append("hidden")
    seconds = library.seconds_by_video(person.id)
    videos = sorted(seconds, key=lambda sha256: -seconds[sha256])[:CROPS_IN_A_ROW]
    crops = []
    for place, sha256 in enumerate(videos):
        # The first videos, in which the person is seen longest, give one more where the row has room.
        number = CROPS_IN_A_ROW // len(videos) + (place < CROPS_IN_A_ROW % len(videos))
        try:
            index = catalogue.by_hash(sha256)
            if index is not None:
                with index:
                    crops += _crops(index, tracklets(index, person.id), number)
        except StoreError:
            continue
    return SheetRow(name or f"person {person.id}", tuple(lines), tuple(crops))


def _crops(index: VideoIndex, own: Collection[int], most: int) -> list[tuple[Image, str]]:
    """The best crops of some tracklets, one of each, by time, each with the video and the moment."""
    looks = index.exemplar_arrays()
    best: dict[int, tuple[float, int]] = {}
    for number, quality, frame in zip(
        looks.tracklets.tolist(), looks.qualities.tolist(), looks.frames.tolist(), strict=True
    ):
        if number in own:
            best[number] = max(best.get(number, (0.0, 0)), (quality, frame))
    chosen = sorted(best, key=lambda number: -best[number][0])[:most]
    exemplars = [
        _at(exemplars, best[number][1]) for number, exemplars in index.exemplars(chosen).items() if exemplars
    ]
    times, video = index.times(), index.video
    name = drawable(video.name)
    short = name if len(name) <= _CAPTION else f"{name[: _CAPTION - 2]}.."
    return [
        (rgb_face(one), f"{short} {clock(video.seconds(int(times.pts[one.frame])))[:-4]}")
        for one in sorted(exemplars, key=lambda one: one.frame)
    ]


def _at(exemplars: Sequence[Exemplar], frame: int) -> Exemplar:
    return next((one for one in exemplars if one.frame == frame), exemplars[0])
