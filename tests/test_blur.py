"""Copies with covered faces: every frame and sound is there, no face shows, and who is to stay does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facereel.api import (
    Event,
    Library,
    NotIndexedError,
    OptionError,
    Progress,
    ResultExistsError,
    UnwritableError,
)
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import probe, read_frames
from facereel.indexer.scan.patch_matching import MIN_NCC_VISIBLE
from facereel.query.blur.copy import Original, write_copy
from facereel.query.blur.covers import choose
from facereel.query.blur.follow import Detection, FaceFollower, Track
from facereel.query.blur.hidden import hidden_faces
from facereel.query.blur.paint import NOTHING, Covering, cover_faces, opacity
from facereel.query.blur.search import FoundFaces
from facereel.query.blur.selection import People, Selection, selection_of
from facereel.query.library.decisions import somebody_else
from facereel.query.records import MatchingTracklet, PersonQuery, Reference
from facereel.query.search.certainty import Limits
from facereel.query.search.scope import Scope
from facereel.query.search.search import PersonMatches
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import ClusterSearch
from facereel.store.library.videos import Counts
from facereel.store.model.records import Cluster, Exemplar, Floats, FrameTimes, Image, Tracklet
from tests.factories import (
    make_contents,
    make_criterion,
    make_exemplar,
    make_sightings,
    make_video,
    write_index,
)
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film
from tests.program import Run
from tests.video_factory import Recipe, code_box, read_number, write_video

ENGINE = FakeEngine()
MS = Fraction(1, 1000)


def pictures(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def people_in(path: Path) -> list[int]:
    """How many faces the engine still finds in each frame."""
    return [len(ENGINE.detect(picture)) for picture in pictures(path)]


def packets(path: Path, track: int = 0) -> list[tuple[Fraction, bytes]]:
    """The packets of a sound track with their times since the file's zero, seconds."""
    with av.open(str(path)) as container:
        zero = Fraction(container.start_time or 0, av.time_base)
        return [
            (packet.pts * Fraction(packet.time_base) - zero, bytes(packet))
            for packet in container.demux(container.streams.audio[track])
            if packet.size and packet.pts is not None
        ]


@pytest.fixture(scope="module")
def half_hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face that a board hides more and more, wholly, and less and less; the engine sees it while half is free."""

    def frames() -> Iterator[Image]:
        for step in range(50):
            picture = backdrop(seed=3)
            draw_face(picture, "red", (130, 60, 60, 60))
            left = 200 - 4 * step
            cv2.rectangle(picture, (left, 40), (left + 70, 140), (90, 90, 90), -1)
            yield picture

    return write_film(tmp_path_factory.mktemp("hidden") / "hidden.mp4", frames())


@pytest.mark.parametrize("style", ["blur", "cover"])
def test_no_face_is_left_in_any_frame(film: Path, tmp_path: Path, style: str) -> None:
    library = Library(tmp_path / "none", engine="fake")
    events: list[Event] = []
    blurred = library.blur(film, tmp_path, style=style, on_event=events.append)
    assert not list(tmp_path.glob(".*"))
    assert blurred.frames == 90
    assert blurred.face_tracks >= 3
    assert blurred.covered_frames >= 60
    assert {event.stage for event in events if isinstance(event, Progress)} == {"searching", "writing"}
    # A blurred square is as vivid as it was, and a mean of it is a face to the fake engine; not where it is black.
    if style == "cover":
        assert not any(people_in(blurred.file))
    before, after = pictures(film), pictures(blurred.file)
    assert len(after) == 90
    for number in (0, 29, 30, 45, 59):
        face = np.s_[60:120, 30 + number % 30 : 90 + number % 30]
        assert _similarity(before[number][face], after[number][face]) < MIN_NCC_VISIBLE
        assert np.abs(before[number][:25].astype(int) - after[number][:25]).mean() < 3
    assert packets(blurred.file) == packets(film)


def _similarity(before: Image, after: Image) -> float:
    """Correlation of the detail of two pictures."""
    details = np.array([cv2.Laplacian(picture, cv2.CV_32F).ravel() for picture in (before, after)])
    return float(np.corrcoef(details)[0, 1]) if details.std(axis=1).min() > 1 else 0.0


def test_a_face_is_covered_while_something_hides_most_of_it(half_hidden: Path, tmp_path: Path) -> None:
    detected = [len(ENGINE.detect(picture)) for picture in pictures(half_hidden)]
    assert 5 < detected.count(0) < 30  # the engine does not see what little is left of the face
    blurred = Library(tmp_path / "none", engine="fake").blur(half_hidden, tmp_path, style="cover")
    for number, picture in enumerate(pictures(blurred.file)):
        hsv = cv2.cvtColor(picture[55:125, 125:195], cv2.COLOR_BGR2HSV)
        red = (hsv[..., 1] > 110) & (hsv[..., 2] > 50)
        assert not red.any(), number


RECIPES = {
    "uneven.mkv": Recipe(time_base=MS, pts=tuple(40 * n + n * 7 % 13 for n in range(50)), audio="aac"),
    "late.mp4": Recipe(late=15, audio="aac"),
    "turned.mov": Recipe(rotation=90, mirrored=True, size=(180, 320), audio="ac3"),
    "ten_bit.mp4": Recipe(codec="libx265", pix_fmt="yuv420p10le"),
    "wide.mp4": Recipe(sample_aspect_ratio=Fraction(4, 3)),
    "transport.ts": Recipe(audio="mp2"),
    "pcm.mov": Recipe(audio="pcm_s16le", chirps=(10, 30)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_frame_and_sound_is_at_its_time(tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]
    source = write_video(tmp_path / name, recipe)
    header, log = probe(source), DecodeLog()
    for _ in read_frames(header, log):
        pass
    times = log.times(header.frame_rate, header.time_base)
    target = tmp_path / "copy.mp4"
    notes = write_copy(
        Original(header, times, log.restarts), lambda frame: NOTHING, "blur", target, False, lambda done: None
    )
    with av.open(str(target)) as container:
        zero = Fraction(container.start_time or 0, av.time_base)
        frames = [
            (
                frame.pts * Fraction(frame.time_base or 0) - zero,
                np.asarray(frame.to_ndarray(format="gray"), np.uint8),
            )
            for frame in container.decode(video=0)
            if frame.pts is not None
        ]
        assert len(container.streams.audio) == (recipe.audio is not None)
    wanted = [(tick - header.origin_pts) * header.time_base for tick in times.pts.tolist()]
    assert [float(time) for time, _ in frames] == pytest.approx(list(map(float, wanted)), abs=1e-6)
    width, height = recipe.size
    for number in (0, 7, 49):
        assert read_number(frames[number][1], code_box(recipe, number), (0, 0, width, height)) == number
    if recipe.audio is None or recipe.audio == "pcm_s16le":
        assert any("AAC" in note or "8 bit" in note for note in notes) or name == "wide.mp4"
    else:
        ours, theirs = packets(target), packets(source)
        assert [data for _, data in ours] == [_raw(data) for _, data in theirs]
        assert [float(t) for t, _ in ours] == pytest.approx([float(t) for t, _ in theirs], abs=1e-3)


def _raw(data: bytes) -> bytes:
    """AAC without the header that transport streams put before each block."""
    return data[7:] if data[:2] in (b"\xff\xf1", b"\xff\xf9") else data


def test_tags_stay_behind_unless_they_are_wanted(tmp_path: Path) -> None:
    source = write_film(tmp_path / "trip.mp4", [backdrop()] * 5, sound=True)
    tagged = tmp_path / "tagged.mp4"
    with av.open(str(source)) as original, av.open(str(tagged), "w") as copy:
        copy.metadata.update({"title": "At Anna's", "comment": "48.1 N 11.5 E"})
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in original.streams}
        for stream in streams.values():
            stream.metadata.update({"handler_name": "Anna's microphone", "language": "deu"})
        for packet in original.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    library = Library(tmp_path / "none", engine="fake")
    plain = library.blur(tagged, tmp_path / "plain")
    assert b"Anna" not in plain.file.read_bytes()
    assert plain.notes == ("left out: tags (comment, language, title)",)
    with av.open(str(library.blur(tagged, tmp_path / "tags", keep_metadata=True).file)) as container:
        assert container.metadata["title"] == "At Anna's"


def test_sound_that_was_cut_away_does_not_come_along(film: Path, tmp_path: Path) -> None:
    """A phone cuts a film without writing it anew: what comes before the cut is in the file, and is not played."""
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(film)) as original, av.open(str(trimmed), "w") as copy:
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in original.streams}
        for packet in original.demux():
            if packet.dts is not None and packet.pts is not None:
                earlier = round(1 / packet.time_base)
                packet.pts, packet.dts = packet.pts - earlier, packet.dts - earlier
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    blurred = Library(tmp_path / "none", engine="fake").blur(trimmed, tmp_path / "out")
    assert min(time for time, _ in packets(trimmed)) < -0.9
    assert -0.2 < min(time for time, _ in packets(blurred.file)) <= 0
    assert packets(blurred.file)[-1] == packets(trimmed)[-1]
    # What a player skips would be the rest of the file's sound.
    with av.open(str(blurred.file), options={"ignore_editlist": "1"}) as container:
        (sound,) = container.streams.audio
        assert sum(1 for packet in container.demux(sound) if packet.size) == len(packets(blurred.file))


def test_who_is_kept_stays_and_everybody_else_is_covered(
    store: Path, film: Path, photos: Path, tmp_path: Path
) -> None:
    library = Library(store, engine="fake")
    kept = library.blur(film, tmp_path / "keep", style="cover", keep=[str(photos / "red.png")])
    assert people_in(kept.file) == [1] * 60 + [0] * 30
    only = library.blur(film, tmp_path / "only", style="cover", only=[str(photos / "red.png")])
    assert people_in(only.file) == [0] * 30 + [1] * 30 + [0] * 30
    assert only.document["covered"] == "only"
    assert only.document["people"] == ["red"]
    assert only.notes == ()


def test_who_is_not_found_is_said(store: Path, film: Path, photos: Path, tmp_path: Path) -> None:
    both = [str(photos / "red.png"), str(photos / "blue.png")]
    for mode in ("keep", "only"):
        copied = Library(store, engine="fake").blur(film, tmp_path / mode, **{mode: both})  # type: ignore[arg-type]  # two keywords
        (note,) = copied.notes
        assert "blue" in note
        assert copied.document["notes"] == [note]


def test_people_need_an_index_and_a_copy_without_covers_is_not_made(
    store: Path, film: Path, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotIndexedError, match="facereel index"):
        Library(tmp_path / "none", engine="fake").blur(film, tmp_path, keep=[str(photos / "red.png")])
    with pytest.raises(OptionError, match="surely"):
        Library(store, engine="fake").blur(film, tmp_path / "out", only=[str(photos / "blue.png")])
    assert not (tmp_path / "out").exists()


def test_the_command_reports_and_replaces_only_what_it_may(run: Run, film: Path, tmp_path: Path) -> None:
    words = ("blur", film, "--out", tmp_path / "out", "--engine", "fake", "--store", tmp_path / "none")
    result = run(*words)
    assert result.exit_code == 0
    assert "two_blurred.mp4" in result.stdout
    assert "no promise" in result.stdout
    report = json.loads((tmp_path / "out" / "two_blurred.json").read_text())
    again = run(*words)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    replaced = run(*words, "--overwrite", "--json")
    assert json.loads(replaced.stdout) == report
    assert run(*words, "--keep", "a", "--only", "b").exit_code == 2
    assert run(*words, "--style", "oil").exit_code == 1
    named = run("blur", film, "--out", tmp_path / "new.mp4", "--engine", "fake", "--store", tmp_path / "none")
    assert "give the folder" in named.stderr


def test_the_video_itself_is_never_replaced(film: Path, tmp_path: Path) -> None:
    itself = tmp_path / "a_blurred.mp4"
    itself.symlink_to(film)
    (tmp_path / "a.mp4").symlink_to(film)
    before = film.read_bytes()
    with pytest.raises(ResultExistsError, match="the video itself"):
        Library(tmp_path / "none", engine="fake").blur(tmp_path / "a.mp4", tmp_path, overwrite=True)
    assert film.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(film: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    events: list[Event] = []
    for out in (tmp_path / "letter", tmp_path / "letter" / "more", tmp_path / ("n" * 300)):
        with pytest.raises(UnwritableError, match="--out"):
            Library(tmp_path / "none", engine="fake").blur(film, out, on_event=events.append)
    assert events == []


def test_what_stops_the_work_leaves_nothing(film: Path, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Library(tmp_path / "none", engine="fake").blur(film, tmp_path / "out", on_event=stop)
    assert not list((tmp_path / "out").iterdir())


def followed(frames: list[tuple[Image, Sequence[float] | None]], cuts: tuple[int, ...] = ()) -> FoundFaces:
    """What is made of grey pictures, in each of which a face is detected at a box or not."""
    follower = FaceFollower(320, 180, 25.0)
    for number, (picture, box) in enumerate(frames):
        found = [] if box is None else [Detection(np.array(box, np.float32), 0.9)]
        follower.step(
            number,
            np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8),
            found,
            number in cuts,
            False,
        )
    times = FrameTimes(np.arange(len(frames)), np.ones(len(frames), np.int64))
    return FoundFaces(times, tuple(follower.finish()), ())


def test_a_face_is_covered_before_it_is_detected_and_after_up_to_the_cut() -> None:
    def scene(shift: int) -> Image:
        picture = backdrop(seed=1)
        draw_face(picture, "red", (40 + shift, 60, 50, 50))
        return picture

    frames: list[tuple[Image, Sequence[float] | None]] = [(backdrop(shade=190, seed=2), None)] * 5
    frames += [(scene(2 * n), [40 + 2 * n, 60, 50, 50] if 20 <= n < 24 else None) for n in range(60)]
    frames += [(backdrop(shade=190, seed=2), None)] * 5
    covers = choose(followed(frames, cuts=(5, 65)), Selection(), 25.0)
    assert sorted(covers.by_frame) == list(range(5, 65))
    for n in range(60):
        mask = opacity((320, 180), covers.of(n + 5))
        assert mask[60:110, 40 + 2 * n : 90 + 2 * n].mean() > 0.97, n
    assert [(doubt.start, doubt.end) for doubt in covers.doubts] == [(29, 65)]


def test_a_box_of_the_wrong_place_leaves_no_face_uncovered() -> None:
    """The detector gives the box of what is free of a face while something hides the rest."""
    picture = backdrop(seed=1)
    draw_face(picture, "red", (100, 50, 70, 90))
    boxes = [[100, 50, 70, 90]] * 3 + [[85, 100, 45, 45]] + [[100, 50, 70, 90]] * 3
    covers = choose(followed([(picture, box) for box in boxes]), Selection(), 25.0)
    for frame in range(7):
        assert opacity((320, 180), covers.of(frame))[50:140, 100:170].mean() > 0.97, frame


def test_a_kept_face_shows_beside_a_covered_one_unless_that_was_detected_over_it() -> None:
    other, own = [100, 50, 60, 60], [150, 50, 60, 60]
    boxes, spared = np.array([other], np.float32), np.array([own], np.float32)
    expected = opacity((320, 180), Covering(boxes, np.array([False]), spared))
    detected = opacity((320, 180), Covering(boxes, np.array([True]), spared))
    assert expected[80, 155] == 0
    assert detected[80, 155] == 1
    assert expected[80, 130] == detected[80, 130] == 1
    assert expected[80, 180] == detected[80, 180] == 0


def track(
    number: int, faces: Mapping[int, tuple[float, int]], places: Mapping[int, float] | None = None
) -> Track:
    """A face of 50 px at so many pixels from the left, with its tracklet, by frame; then where it is expected."""

    def box(left: float) -> Floats:
        return np.array([left, 60, 50, 50], np.float32)

    detections = {frame: Detection(box(left), 0.9, tracklet) for frame, (left, tracklet) in faces.items()}
    return Track(number, detections, {frame: [box(left)] for frame, left in (places or {}).items()})


def of(*tracks: Track) -> FoundFaces:
    return FoundFaces(FrameTimes(np.arange(100), np.ones(100, np.int64)), tracks, ())


def uncovered(found: FoundFaces, selection: Selection, number: int) -> list[int]:
    """The frames in which a track is detected and not covered."""
    own = hidden_faces(found, selection, 25.0).covered[number]
    return [frame for frame, covered in own.items() if not covered]


def test_a_kept_face_is_covered_while_somebody_else_is_expected_over_it() -> None:
    kept = track(1, dict.fromkeys(range(60), (100, 1)))
    walker = {frame: (10 + 2 * frame, 2) for frame in range(20)}
    passing = track(2, walker, {frame: 10 + 2 * frame for frame in range(20, 50)})
    keep = Selection("keep", sure=frozenset({1}))
    assert uncovered(of(kept), keep, 1) == list(range(60))
    # Over it from frame 23 on, and expected there for half a second after the last detection, in frame 19.
    assert uncovered(of(kept, passing), keep, 1) == [*range(21), *range(34, 60)]
    covers = choose(of(kept, passing), keep, 25.0)
    assert (21, 34) in [(doubt.start, doubt.end) for doubt in covers.doubts]
    # A part of the same face, which nobody knows, is nobody else.
    unknown = track(2, dict.fromkeys(range(5), (110, 0)), dict.fromkeys(range(5, 30), 110))
    assert uncovered(of(kept, unknown), keep, 1) == list(range(60))


def test_where_one_face_becomes_another_in_its_place_both_are_covered() -> None:
    changing = of(track(1, {frame: (100, 1 if frame < 30 else 2) for frame in range(60)}))
    assert uncovered(changing, Selection("keep", sure=frozenset({1})), 1) == list(range(20))
    only = Selection("only", sure=frozenset({1}), others=frozenset({2}))
    assert uncovered(changing, only, 1) == list(range(40, 60))


def test_somebody_else_is_who_is_beside_the_person_or_looks_plainly_unlike(tmp_path: Path) -> None:
    """Tracklets by number: first frame, end, cluster, similarity to the person, quality; 1 is the person."""
    faces = {
        1: (0, 20, 1, 1.0, 0.5),
        2: (10, 30, 2, 0.3, 0.5),  # in frames with the person
        3: (50, 60, 2, 0.4, 0.5),  # of a cluster that is
        4: (60, 70, 2, 0.6, 0.5),  # so, too, but may be the person by its look
        5: (70, 80, 3, 0.1, 0.5),  # unlike
        6: (80, 90, 4, 0.3, 0.5),  # in between
        7: (90, 100, 5, 0.1, 0.02),  # too poor to say
    }
    contents, rng = make_contents(video=make_video(frame_count=100), shots=1), np.random.default_rng(0)
    exemplars: dict[int, tuple[Exemplar, ...]] = {
        number: (
            replace(
                make_exemplar(rng, start, 16), quality=quality,
                embedding=np.array([alike, np.sqrt(1 - alike**2), *[0] * 14], np.float32),
            ),
        ) for number, (start, _, _, alike, quality) in faces.items()
    }  # fmt: skip
    tracklets = tuple(
        Tracklet(number, 0, start, end, "entered_frame", "left_frame", cluster, 50.0, 0.9)
        for number, (start, end, cluster, _, _) in faces.items()
    )
    clusters = tuple(
        Cluster(one, None, tuple(t.number for t in tracklets if t.cluster == one)) for one in range(1, 6)
    )
    own = {t.number: make_sightings(rng, t.start, t.end) for t in tracklets}
    folder = write_index(
        tmp_path,
        replace(contents, tracklets=tracklets, clusters=clusters, exemplars=exemplars, sightings=own),
    )
    photo = Reference("anna.jpg", "", np.zeros(4, np.float32), np.eye(16, dtype=np.float32)[0], 0.9)
    scope = Scope(Catalogue(tmp_path), ClusterSearch(16, 0, ()), Counts(), (), contents.engine)
    match = MatchingTracklet(contents.video, tracklets[0], 1.0, 0.4, "photo", "", folder)
    anna = PersonMatches(
        PersonQuery("anna", (photo,), ()),
        ((match, own[1]),),
        (),
        (),
        {},
        scope,
        Limits(make_criterion(), 1, 5),
    )
    with VideoIndex(folder) as index:
        selection = selection_of(index, People("only", (anna,), 0.4))
        assert selection == Selection("only", frozenset({1}), others=frozenset({2, 3, 5}))
        unseen = replace(anna, matches=())  # of two people both have to be somebody else
        both = selection_of(index, People("only", (anna, unseen), 0.4))
        assert both.others == frozenset({5})


def test_alone_is_covered_whoever_is_not_surely_somebody_else() -> None:
    """Of two faces the index knows one as somebody else's, and says nothing of the other."""
    known, unknown = (track(1, dict.fromkeys(range(20), (60, tracklet))) for tracklet in (3, 4))
    person = track(2, dict.fromkeys(range(25, 60), (100, 1)))
    only = Selection("only", sure=frozenset({1}), others=frozenset({3}))
    assert uncovered(of(known, person), only, 1) == list(range(20))
    assert uncovered(of(unknown, person), only, 1) == []
    covers = choose(of(unknown, person), only, 25.0)
    assert [(doubt.start, doubt.end, doubt.tracklet) for doubt in covers.doubts] == [(0, 20, 4)]
    assert choose(of(known, person), only, 25.0).doubts == ()


def test_who_may_be_somebody_else_is_listed_without_the_frames_in_which_it_is_the_person() -> None:
    own = track(1, {frame: (60, 1 if 20 <= frame < 40 else 0) for frame in range(60)})
    covers = choose(of(own), Selection("only", sure=frozenset({1})), 25.0)
    assert [(doubt.start, doubt.end) for doubt in covers.doubts] == [(0, 20), (40, 60)]


def test_nobody_who_is_asked_for_by_a_photo_is_somebody_else_by_name(store: Path, photos: Path) -> None:
    """With `--only PHOTO` their faces that the photo does not find would stay visible."""
    library = Library(store, engine="fake")
    people = library.people
    people.name("two.mp4#1", "Anna")
    people.name("two.mp4#2", "Berta")
    with Catalogue(store).find("two.mp4") as index:
        of_anna = {item.number for item in index.tracklets() if item.cluster == 1}
        of_berta = {item.number for item in index.tracklets() if item.cluster == 2}

        def others(*asked: str) -> frozenset[int]:
            answers = library.find_many(library.read_persons(asked)).answers
            return somebody_else(index, [one._found for one in answers], people.stored)

        assert of_anna
        assert others("Anna") == of_berta
        assert others(str(photos / "red.png")) == of_berta
        first = min(of_anna)
        people.reject("Anna", [f"two.mp4#t{first}"])
        assert others("Anna") == of_berta | {first}
        # It was not rejected for the other one.
        assert others("Anna", "Berta") == frozenset()


def test_a_face_without_a_tracklet_is_whose_it_was_half_a_second_before() -> None:
    other = track(1, {frame: (60, 3 if frame < 20 else 0) for frame in range(50)})
    only = Selection("only", sure=frozenset({1}), others=frozenset({3}))
    assert uncovered(of(other), only, 1) == list(range(32))
    person = track(1, {frame: (60, 3 if frame < 20 else 1 if frame > 30 else 0) for frame in range(50)})
    assert uncovered(of(person), only, 1) == list(range(20))


def test_a_pattern_beside_somebody_else_covers_nothing_of_the_face() -> None:
    other = track(1, dict.fromkeys(range(20), (60, 3)))
    pattern = track(2, dict.fromkeys(range(20), (85, 0)))
    pattern.detections.update(
        {frame: Detection(found.box, 0.3) for frame, found in pattern.detections.items()}
    )
    only = Selection("only", sure=frozenset({1}), others=frozenset({3}))
    mask = opacity((320, 180), choose(of(other, pattern), only, 25.0).of(10))
    assert (mask[85, 65:105] == 0).all()
    assert mask[85, 125] == 1


def test_somebody_else_may_have_been_the_person_before_they_met() -> None:
    """Whom the index takes for one other in all frames is to be seen beside the person only after the meeting."""
    other = track(1, dict.fromkeys(range(60), (100, 2)))
    person = track(2, {frame: (100 + 2 * (frame - 20), 1) for frame in range(25, 60)})
    only = Selection("only", sure=frozenset({1}), others=frozenset({2}))
    assert uncovered(of(other, person), only, 1) == list(range(40, 60))


@pytest.mark.parametrize("style", ["blur", "pixelate", "cover"])
def test_nothing_of_a_face_goes_into_the_picture_around_it(style: str) -> None:
    """Two pictures that differ in the fine detail of a face alone are nearly one once it is covered."""
    rng = np.random.default_rng(0)
    plain = np.full((180, 320), 120, np.uint8)
    grainy = plain.copy()
    grainy[60:120, 100:160] = np.clip(rng.normal(120, 50, (60, 60)), 0, 255)
    covering = Covering(
        np.array([[100, 60, 60, 60]], np.float32), np.array([True]), np.zeros((0, 4), np.float32)
    )
    for picture in (plain, grainy):
        chroma = np.full((90, 160), 128, np.uint8)
        cover_faces((picture, chroma, chroma.copy()), covering, style)  # type: ignore[arg-type]  # one of them
    difference = np.abs(plain.astype(int) - grainy)
    assert difference.max() < 25
    assert plain[5, 5] == grainy[5, 5] == 120


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_a_small_cover_shows_no_more_of_a_large_face_below_it(style: str) -> None:
    detail = np.random.default_rng(0).integers(0, 255, (180, 320)).astype(np.uint8)
    large, small = [60, 30, 120, 120], [100, 60, 20, 20]

    def covered(*boxes: Sequence[float]) -> Image:
        planes = detail.copy(), np.full((90, 160), 128, np.uint8), np.full((90, 160), 128, np.uint8)
        none = np.zeros((0, 4), np.float32)
        covering = Covering(np.array(boxes, np.float32), np.zeros(len(boxes), np.bool_), none)
        cover_faces(planes, covering, style)  # type: ignore[arg-type]  # one of the styles
        return planes[0]

    assert (covered(large, small) == covered(large)).all()


@pytest.mark.parametrize("left", [-30, 100])
def test_a_face_that_the_edge_cuts_off_keeps_no_finer_detail(left: int) -> None:
    """Half a face of 60 px has two mean values and a part of a third, inside the picture and at its edge."""
    plane = np.tile(np.arange(0, 160, dtype=np.uint8).repeat(2), (180, 1))
    chroma = np.full((90, 160), 128, np.uint8)
    covering = Covering(
        np.array([[left, 60, 60, 60]], np.float32), np.array([True]), np.zeros((0, 4), np.float32)
    )
    cover_faces((plane, chroma, chroma.copy()), covering, "pixelate")
    half = plane[90, left + 30 : left + 60]
    assert len(np.unique(half)) <= 3
