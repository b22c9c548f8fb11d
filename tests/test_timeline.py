"""What the page draws of a video and of a person, against the rows of the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library, OptionError
from facereel.store.files.folders import index_folders
from facereel.store.index.reader import VideoIndex
from tests.fake_engine import film_of_two


@pytest.fixture
def library(store: Path) -> Library:
    return Library(store, engine="fake")


def test_a_timeline_has_every_track_with_its_person(library: Library) -> None:
    (folder,) = index_folders(library.store)
    found = library.timeline(folder.name, window=7)
    with VideoIndex(folder) as index:
        times, seconds = index.times(), index.tracklet_seconds()
        assert {one.tracklet for one in found.stretches} == seconds.keys()
        for one in found.stretches:
            assert (one.start, one.end) == seconds[one.tracklet]
        assert found.window_starts == tuple(index.video.seconds(int(pts)) for pts in times.pts[::7])
        assert len(found.shots) == len(index.shots())
    assert {one.person for one in found.stretches} == {one.id for one in found.people}
    assert len(found.people) == 2


def test_a_face_that_was_rejected_or_accepted_is_no_longer_its_clusters(library: Library) -> None:
    first, second = library.people.all()
    own = next(one for one in library.timeline("two.mp4").stretches if one.person == first.id)
    face = f"two.mp4#t{own.tracklet}"

    def owner() -> int | None:
        return next(
            one.person for one in library.timeline("two.mp4").stretches if one.tracklet == own.tracklet
        )

    library.people.reject(str(first.id), [face])
    assert owner() is None
    library.people.accept(str(second.id), [face])
    assert owner() == second.id
    library.people.undo()
    library.people.undo()
    assert owner() == first.id


def test_a_window_has_the_boxes_and_times_of_its_frames(library: Library) -> None:
    (folder,) = index_folders(library.store)
    window = library.frames("two.mp4", 20, 50)
    assert (window.start, window.end, len(window.times)) == (20, 50, 31)
    with VideoIndex(folder) as index:
        times = index.times()
        assert window.times[:-1] == tuple(index.video.seconds(int(pts)) for pts in times.pts[20:50])
        assert window.times[-1] == index.video.seconds(times.end_pts(50))
        shown = {
            (face.tracklet, face.start + i): tuple(box)
            for face in window.faces
            for i, box in enumerate(face.boxes.tolist())
        }
        expected = {
            (number, frame): tuple(box)
            for number, own in index.sightings(item.number for item in index.tracklets()).items()
            for frame, box in zip(own.frames.tolist(), own.boxes.tolist(), strict=True)
            if 20 <= frame < 50
        }
    assert shown == expected
    assert expected
    assert library.frames("two.mp4", 80, 500).end == 90


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (90, 91)])
def test_what_is_no_window(library: Library, start: int, end: int) -> None:
    with pytest.raises(OptionError, match="has frames 0 to 89"):
        library.frames("two.mp4", start, end)


def frames(library: Library, person: str, **filters: list[str]) -> set[tuple[str, int]]:
    """Every frame that shows a person, with the name of its video."""
    return {
        (video.video, frame)
        for video in library.people.videos(person, **filters).videos  # type: ignore[arg-type]  # of lists only
        for piece in video.pieces
        for frame in range(piece.start_frame, piece.end_frame)
    }


def test_the_videos_of_a_person_come_in_pages(library: Library, tmp_path: Path) -> None:
    library.index(film_of_two(tmp_path / "longer.mp4", seconds=1.6))
    red = str(library.people.all()[0].id)
    first = library.people.videos(red, most=1)
    second = library.people.videos(red, first=1, most=1)
    assert [video.video for page in (first, second) for video in page.videos] == ["longer.mp4", "two.mp4"]
    assert (first.next, second.next) == (1, None)


def test_the_videos_of_a_person_with_and_without_somebody(library: Library) -> None:
    red, green = (str(person.id) for person in library.people.all())
    every, others = frames(library, red), frames(library, green)
    assert frames(library, red, present=[green]) == every & others != set()
    assert frames(library, red, absent=[green]) == every - others != set()
    assert frames(library, green, absent=[red]) == set()


def owner(library: Library, tracklet: int) -> int | None:
    """Whose a tracklet of `two.mp4` is."""
    return next(one.person for one in library.timeline("two.mp4").stretches if one.tracklet == tracklet)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("who", ["somebody known", "a new name"])
def test_a_face_is_said_to_be_somebody_and_that_is_undone(library: Library, whole: bool, who: str) -> None:
    red, green = library.people.all()
    library.people.name(str(green.id), "somebody known")
    tracks = [one.tracklet for one in library.timeline("two.mp4").stretches if one.person == red.id]
    assert len(tracks) == 2
    change = library.people.identify(f"two.mp4#t{tracks[0]}", who, whole=whole)
    assert (change.person.name, owner(library, tracks[0])) == (who, change.person.id)
    assert (owner(library, tracks[1]) == change.person.id) == whole
    library.people.undo(*change.decisions)
    assert [owner(library, number) for number in tracks] == [red.id, red.id]
    assert [one.name for one in library.people.all()] == [None, "somebody known"]


def test_a_face_of_nobody_becomes_somebody_new(library: Library) -> None:
    red, _ = library.people.all()
    library.people.reject(str(red.id), ["two.mp4#t1"])
    change = library.people.identify("two.mp4#t1", "Zoe")
    assert owner(library, 1) == change.person.id != red.id
