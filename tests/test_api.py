"""The public API: what it gives, and what it leaves alone."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest

import facereel
from facereel import (
    EngineMismatchError,
    Event,
    FaceReelError,
    Failed,
    Indexed,
    Library,
    NotIndexedError,
    OptionError,
    PhotoError,
    Progress,
    ResultExistsError,
    Started,
    VideoError,
    api,
)
from facereel.indexer import machine
from facereel.indexer.jobs import local
from facereel.indexer.jobs.events import Job
from facereel.indexer.jobs.local import LocalRunner
from tests.fake_engine import backdrop, draw_face, film_of_two
from tests.program import ROOT, Run


@pytest.fixture
def library(store: Path) -> Library:
    return Library(store, engine="fake")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_public_is_loaded_when_it_is_used() -> None:
    source = "import sys, facereel; print(sorted(n for n in sys.modules if n.startswith('facereel')), dir(facereel))"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.startswith("['facereel'] ")
    assert "'Library'" in done.stdout
    assert set(facereel.__all__) == {*api.__all__, "__version__"}
    for name in facereel.__all__:
        assert getattr(facereel, name) is not None
    with pytest.raises(AttributeError):
        facereel.nonsense  # noqa: B018  # reading it is the test


def test_making_a_library_changes_nothing(tmp_path: Path) -> None:
    leftover = tmp_path / "store" / ".facereel-tmp-1-0000"
    leftover.mkdir(parents=True)
    Library(tmp_path / "store")
    Library(tmp_path / "other")
    assert leftover.is_dir()
    assert not (tmp_path / "other").exists()


def test_nothing_is_printed_and_the_process_stays_as_it_is(
    film: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    signals = {number: signal.getsignal(number) for number in signal.valid_signals()}
    environment, folder = dict(os.environ), Path.cwd()
    library = Library(tmp_path / "s", engine="fake")
    library.index(film)
    answer = library.find(photos / "red.png")
    answer.cut(tmp_path / "out")
    library.verify()
    library.forget(photos / "red.png")
    assert capfd.readouterr() == ("", "")
    assert (dict(os.environ), Path.cwd()) == (environment, folder)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == signals


def test_index_gives_events_and_a_report_in_the_order_of_the_videos(film: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    library = Library(tmp_path / "s", engine="fake")
    events: list[Event] = []
    report = library.index([broken, film], on_event=events.append)
    assert [type(video) for video in report.videos] == [Failed, Indexed]
    assert [event.video for event in report.failed] == [broken]
    assert [(e.number, e.total) for e in events if isinstance(e, Started)] == [(1, 2), (2, 2)]
    assert any(isinstance(event, Progress) for event in events)
    again = [type(event) for event in library.index_events(film)]
    assert again[0] is Started
    assert again[-1] is Indexed
    (done,) = library.index(film).videos
    assert isinstance(done, Indexed)
    assert done.skipped
    assert (done.frames, done.clusters) == (90, 2)


def test_a_wrong_option_raises_before_anything_is_done(film: Path, tmp_path: Path) -> None:
    library = Library(tmp_path / "s", engine="fake")
    for options in ({"scan": "never"}, {"shots": "guess"}):
        with pytest.raises(OptionError):
            library.index_events(film, **options)  # type: ignore[arg-type]  # these are strings
    assert not (tmp_path / "s").exists()


def test_closing_the_events_stops_the_work(tmp_path: Path) -> None:
    film = film_of_two(tmp_path / "long.mp4", seconds=30)
    events = Library(tmp_path / "s", engine="fake").index_events(film)
    assert isinstance(next(events), Started)
    events.close()
    assert Library(tmp_path / "s", engine="fake").videos().videos == ()


@pytest.mark.parametrize(
    ("people", "text"),
    [
        ([], "there is no photo to search for"),
        ({}, "there is nobody to search for"),
        ({"x": []}, "there is no photo of x"),
        ({"A/B": ["1.png"], "A?B": ["2.png"]}, "one result folder, A_B"),
        ({"Anna": ["1.png"], "anna": ["2.png"]}, "one result folder, Anna"),
        ({"Anna": ["red.png"], "Bert": ["green.png"]}, "use find_many"),
    ],
)
def test_what_is_nobodys_photo_is_an_option_error(
    library: Library, photos: Path, people: Any, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    with pytest.raises(OptionError, match=text):
        library.find(people)


def test_find_writes_nothing_and_says_where_and_why(library: Library, photos: Path, film: Path) -> None:
    library.find(photos / "red.png")  # what is derived is up to date
    before = everything(library.store)
    answer = library.find(photos / "red.png")
    assert everything(library.store) == before
    assert [(m.start_frame, m.end_frame) for m in answer.matches] == [(0, 30), (30, 60)]
    first = answer.matches[0]
    assert (first.video, first.start, first.matched) == (film, 0.0, "photo")
    assert first.end == first.duration == pytest.approx(1.2)
    assert first.similarity > first.threshold
    assert f"{first.threshold:.2f}" in first.why
    assert answer.searched == (film,)
    assert answer.skipped == ()
    assert answer.statistics["matches"] == 2
    short = library.find(photos / "red.png", min_duration=1.5)
    assert (short.matches, short.too_short) == ((), 2)
    near = library.find(photos / "red.png", threshold=0.9999999)
    assert near.matches == ()
    assert near.possible[0].why


def test_what_cannot_be_answered_raises_its_class(library: Library, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(PhotoError):
        library.find(photos / "nobody.png")
    with pytest.raises(NotIndexedError):
        library.find(photos / "red.png", videos="gone.mp4")
    with pytest.raises(NotIndexedError):
        Library(tmp_path / "empty", engine="fake").find(photos / "red.png")
    with pytest.raises(EngineMismatchError):
        Library(library.store, engine="fake-other").find(photos / "red.png")
    with pytest.raises(OptionError):
        library.find(photos / "red.png", threshold=3)
    for person in ("red", "green"):
        (tmp_path / "people" / person).mkdir(parents=True)
        shutil.copy(photos / f"{person}.png", tmp_path / "people" / person)
    with pytest.raises(OptionError, match="find_many"):
        library.find(tmp_path / "people")
    assert issubclass(OptionError, FaceReelError)


def test_cut_writes_what_the_command_writes(library: Library, photos: Path, tmp_path: Path) -> None:
    answer = library.find(photos / "red.png")
    planned = answer.preview(crop="tube", size=64)
    assert planned.folder is None
    assert [clip.file for clip in planned.clips] == [None, None]
    clips: list[Any] = []
    result = answer.cut(tmp_path / "out" / "red", crop="tube", size=64, on_clip=clips.append)
    written = json.loads((tmp_path / "out" / "red" / "metadata.json").read_text())
    assert result.document == written
    assert [clip.file.name for clip in result.clips if clip.file] == [c["file"] for c in written["clips"]]
    assert [clip.match for clip in result.clips] == list(answer.matches) == [clip.match for clip in clips]
    assert all(clip.file is not None and clip.file.is_file() for clip in result.clips)
    answer.cut(tmp_path / "out" / "red")  # the same question is replaced
    with pytest.raises(ResultExistsError):
        library.find(photos / "green.png").cut(tmp_path / "out" / "red")


@pytest.mark.parametrize(
    ("options", "workers", "share"),
    [({}, 1, 4), ({"force": True}, 2, 2), ({"jobs": 3}, 3, 2), ({"arriving": lambda: ()}, 1, 4)],
)
def test_only_new_videos_share_the_cores(
    options: dict[str, Any],
    workers: int,
    share: int,
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of two videos is known: the other one gets all four cores."""
    (known,) = library.videos().videos
    begun: list[tuple[int, int]] = []

    def run(
        runner: LocalRunner, jobs: Sequence[Job], arriving: Callable[[], Sequence[Job]]
    ) -> Iterator[Event]:
        load = cast(Any, runner.load)
        begun.append((runner.workers, load.__self__.compute.allowed))
        assert all(math.isinf(job.split_longer_than) == ("jobs" not in options) for job in jobs)
        yield from ()

    monkeypatch.setattr(LocalRunner, "run", run)
    monkeypatch.setattr(machine, "cores", lambda *_: 4)
    monkeypatch.setattr(local, "cores", lambda *_: 4)
    monkeypatch.setattr(local, "free_memory", lambda: 64 << 30)
    new = film_of_two(tmp_path / "new.mp4", seconds=0.2)
    list(library.index_events([known.path, new], **options))
    assert begun == [(workers, share)]


def test_several_people_at_once(library: Library, photos: Path) -> None:
    found = library.find_many(
        {"Red": photos / "red.png", "nobody": photos / "nobody.png", "Green": [photos / "green.png"]}
    )
    assert [(answer.name, len(answer.matches)) for answer in found.answers] == [("Red", 2), ("Green", 1)]
    assert [(person.name, type(person.error)) for person in found.failed] == [("nobody", PhotoError)]


def test_a_table_needs_pandas(library: Library, photos: Path) -> None:
    answer = library.find(photos / "red.png")
    try:
        import pandas  # noqa: F401
    except ImportError:
        with pytest.raises(OptionError, match="pip install pandas"):
            answer.to_dataframe()
    else:
        table = answer.to_dataframe()
        assert list(table["start_frame"]) == [0, 30]


def test_what_is_in_the_library(library: Library, film: Path, tmp_path: Path) -> None:
    (video,) = library.videos().videos
    assert (video.video, video.path, video.clusters) == ("two.mp4", str(film), 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", video.indexed_at)
    details = library.info("two.mp4")
    assert (details.frames, details.summary) == (90, video)
    sheet = library.faces("two.mp4", tmp_path / "sheet.png", most=1)
    assert (len(sheet.rows), sheet.left_out, sheet.file.is_file()) == (1, 1, True)
    assert [health.problems for health in library.verify()] == [()]
    (result,) = Library(library.store, engine="fake-other").reembed()
    assert (result.engine_before, result.engine) == ("fake", "fake-other")
    assert library.remove("two.mp4").name == Path(video.folder).name
    assert library.videos().videos == ()


def test_the_date_of_an_index_is_when_the_video_was_indexed(library: Library) -> None:
    (before,) = library.videos().videos
    for path in Path(before.folder).iterdir():
        os.utime(path, (1, 1))
    os.utime(before.folder, (1, 1))
    (after,) = library.videos().videos
    assert after.indexed_at == before.indexed_at
    assert before.indexed_at > "2020"


def test_lengths_and_times_count_from_the_start_that_a_player_shows(photos: Path, tmp_path: Path) -> None:
    """Also of a video whose picture begins later than its sound."""
    film = tmp_path / "late.mkv"
    with av.open(str(film), "w") as container:
        picture, sound = container.add_stream("libx264", rate=25), container.add_stream("aac", rate=48_000)
        picture.width, picture.height, picture.pix_fmt = 320, 180, "yuv420p"
        for start in range(0, 3 * 48_000, 1024):
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), start
            container.mux(sound.encode(block))
        for number in range(50):
            image = backdrop()
            draw_face(image, "red", (100 + number, 50, 60, 60))
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts, frame.time_base = 25 + number, Fraction(1, 25)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    library = Library(tmp_path / "s", engine="fake")
    (done,) = library.index(film).videos
    (video,) = library.videos().videos
    (match,) = library.find(photos / "red.png").matches
    assert match.start == pytest.approx(1.0, abs=0.05)
    assert match.end == pytest.approx(3.0, abs=0.05)
    assert isinstance(done, Indexed)
    assert match.end == pytest.approx(video.duration) == pytest.approx(done.duration)


SCRIPT = """
import sys
from facereel import Library
library = Library(sys.argv[2])
{guard}
    print(len(library.index(sys.argv[1]).failed))
"""


@pytest.mark.parametrize("guard", ['if __name__ == "__main__":', "if True:"])
def test_a_script_without_a_guard_ends_with_an_error(film: Path, tmp_path: Path, guard: str) -> None:
    """And not in silence, in an endless loop or with half of the work done twice."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard=guard))
    done = subprocess.run(
        [sys.executable, str(script), str(film), str(tmp_path / "s")],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    if guard == "if True:":
        assert done.returncode == 1
        assert "if __name__ == '__main__':" in done.stderr
        assert "EngineError" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_the_examples_of_the_page_run(
    film: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, one after the other, as they stand in docs/api.md."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, "movie.mp4")
    Path("series").mkdir()
    film_of_two(Path("series") / "one.mp4", seconds=0.6)
    for name in ("joey1.jpg", "joey2.jpg"):
        shutil.copy(photos / "red.png", name)
    Path("photos/ross").mkdir(parents=True)
    shutil.copy(photos / "green.png", "photos/ross")
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 4
    names: dict[str, Any] = {}
    for example in examples:
        source = example.replace('Library("faceindex")', 'Library("faceindex", engine="fake")')
        exec(compile(source, "docs/api.md", "exec"), names)  # our own page
    assert len(names["result"].clips) == 4
    assert names["library"].videos().unreadable == ()
    assert names["report"].removed


def test_all_faces_of_a_photo_are_references_and_nothing_of_its_content_stays(
    library: Library, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    photo = library.read_faces((photos / "both.png").read_bytes(), "both of them.png")
    assert list(scratch.iterdir()) == []
    assert (photo.name, len(photo.faces)) == ("both of them.png", 2)
    assert all(face.path == "both of them.png" for face in photo.faces)
    assert photo.faces[0].box[2] >= photo.faces[1].box[2]
    shown = cv2.imdecode(np.frombuffer(photo.picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape[:2] == (photo.height, photo.width)
    for number, face in enumerate(photo.faces, 1):
        (answer,) = library.find_many(library.of_faces([face], "them")).answers
        expected = library.find(photos / "both.png", face=number)
        assert answer.matches == expected.matches
        assert answer.matches


@pytest.mark.parametrize("content", [b"", b"no photo at all", b"%PDF-1.7"])
def test_content_that_is_no_photo_is_called_by_its_name(library: Library, content: bytes) -> None:
    with pytest.raises(PhotoError, match=r"^holiday.jpg ") as caught:
        library.read_faces(content, "holiday.jpg")
    assert tempfile.gettempdir() not in str(caught.value)


def test_faces_of_two_people_are_not_one(library: Library, photos: Path) -> None:
    red, green = (library.read_faces(photos / f"{name}.png").faces[0] for name in ("red", "green"))
    with pytest.raises(PhotoError, match="different people"):
        library.of_faces([red, red, green, green], "them")
    with pytest.raises(OptionError, match="no face"):
        library.of_faces([], "nobody")


def test_chosen_matches_alone_are_cut(library: Library, photos: Path, tmp_path: Path) -> None:
    answer = library.find(photos / "red.png")
    first, second = answer.matches
    result = answer.only([second]).cut(tmp_path / "out")
    assert [clip.match for clip in result.clips] == [second]
    assert (first.folder, first.cluster) == (second.folder, second.cluster)
    assert first.folder.parent == library.store
    other = library.find(photos / "green.png").matches[0]
    with pytest.raises(OptionError, match=f"#t{other.tracklet} does not match"):
        answer.only([other])
    red = library.read_photos([photos / "red.png"])
    (named,) = library.find_many(red, only=[f"two.mp4#t{second.tracklet}"]).answers
    assert named.matches == (second,)


def test_a_person_of_the_library_can_be_the_lookalike(library: Library, photos: Path) -> None:
    red = library.read_photos([photos / "red.png"])
    green = library.read_faces(photos / "green.png").faces[0]
    for unlike in (["two.mp4#t3"], [photos / "green.png"], [green]):
        (person,) = library.narrowed(red, unlike=unlike).persons
        assert [float(one.embedding @ green.embedding) > 0.9 for one in person.unlike] == [True]
    with pytest.raises(OptionError, match="nobody"):
        library.narrowed(red, unlike=["Somebody Else"])


def test_the_equal_command_asks_the_same_question(library: Library, photos: Path, run: Run) -> None:
    library.people.name("two.mp4#t3", "Green O'Hara")
    people = library.narrowed(
        library.read_photos([photos / "both.png"], face=2),
        present=["Green O'Hara"],
        unlike=[photos / "blue.png"],
    )
    (answer,) = library.find_many(people, include_possible=True, min_duration=0.5).answers
    command = api.QueryCommand(
        photos=(str(photos / "both.png"),), face=2, present=("Green O'Hara",), unlike=(str(photos / "blue.png"),),
        store=library.store, name="x y", include_possible=True, min_duration=0.5, crop="tube", size=64,
    )  # fmt: skip
    program, *words = shlex.split(str(command))
    done = run(*words, "--engine", "fake", "--dry-run", "--json")
    assert (program, done.exit_code) == ("facereel", 0), done.output
    (result,) = json.loads(done.stdout)["results"]
    assert [(clip["tracklet"], clip["start_frame"]) for clip in result["clips"]] == [
        (match.tracklet, match.start_frame) for match in answer.matches
    ]
    assert answer.matches
    preview = answer.preview(crop="tube", size=64)
    assert result["clips"] == json.loads(json.dumps(preview.document["clips"]))
    assert str(api.QueryCommand(person="Green O'Hara")) == "facereel query --person 'Green O'\"'\"'Hara'"
    assert str(api.QueryCommand(photos=("-me.jpg",))) == "facereel query -- -me.jpg"


def test_the_best_faces_of_a_person_are_of_different_videos_first(library: Library, tmp_path: Path) -> None:
    library.index(film_of_two(tmp_path / "copy.mp4", seconds=1.6))
    person = library.people.find("two.mp4#t1")
    moments = library.people.moments(str(person.id), 3)
    assert {moment.video for moment in moments[:2]} == {"two.mp4", "copy.mp4"}
    for moment in moments:
        assert moment.start <= moment.time < moment.end
    assert len(moments) == 3


def test_pictures_and_the_track_of_a_face_are_those_of_its_frames(library: Library, film: Path) -> None:
    track = library.track("two.mp4#t3")
    middle = len(track.boxes) // 2
    frame = track.start_frame + middle
    assert track.times[middle] == pytest.approx(frame / 25)
    whole = cv2.imdecode(np.frombuffer(library.frame("two.mp4", frame), np.uint8), cv2.IMREAD_COLOR)
    assert whole is not None
    assert whole.shape == (track.height, track.width, 3)
    x, y, w, h = track.boxes[middle].round().astype(int)
    face = whole[y : y + h, x : x + w].reshape(-1, 3).mean(axis=0)
    around = whole.reshape(-1, 3).mean(axis=0)
    assert face.argmax() == 1  # green
    assert face[1] - max(face[0], face[2]) > 2 * (around[1] - max(around[0], around[2]))
    small = cv2.imdecode(
        np.frombuffer(library.frame("two.mp4", frame, width=160), np.uint8), cv2.IMREAD_COLOR
    )
    assert small is not None
    assert small.shape == (90, 160, 3)
    crop = cv2.imdecode(np.frombuffer(library.crop("two.mp4#t3"), np.uint8), cv2.IMREAD_COLOR)
    assert crop is not None
    assert min(crop.shape[:2]) >= 60
    assert crop.reshape(-1, 3).mean(axis=0).argmax() == 1
    assert library.poster_frame("two.mp4") < 60  # nobody is in the last shot
    with pytest.raises(OptionError, match="frames 0 to 89, not 90"):
        library.frame("two.mp4", 90)


def test_the_version_of_an_index_changes_and_its_source_may_be_gone(
    library: Library, film: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copy(film, tmp_path / "own.mp4"))
    library.remove("two.mp4")
    library.index(own)
    assert library.source("own.mp4") == own
    before = library.version("own.mp4")
    assert library.version("own.mp4") == before
    library.index(own, force=True)
    assert library.version("own.mp4") != before
    own.unlink()
    with pytest.raises(VideoError, match="no longer there"):
        library.source("own.mp4")
