"""A run that was interrupted resumes where it stopped, and ends with what one that was not would have found."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from facereel.indexer import pipeline, segments
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.video import probe, read_frames
from facereel.store.files import folders
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import index_folders
from facereel.store.files.locks import video_lock
from facereel.store.index import writer
from facereel.store.index.database import DATABASE
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.config import Config
from facereel.store.model.errors import StoreError, UnwritableError, VideoError
from facereel.store.model.records import Checkpoint, Faces, Image
from facereel.store.resume import unfinished
from facereel.store.resume.unfinished import (
    UNFINISHED,
    UnfinishedIndex,
    clean_unfinished,
    delete_unfinished,
    unfinished_runs,
)
from tests.factories import IndexContents, index_contents
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film

SHOT, SHOTS = 15, 12  # frames of a shot, and how many there are
SEGMENT = 20  # frames that a segment has at least


class Stopped(Exception):
    """What ends a run in these tests."""


class Counting(FakeEngine):
    """Counts the frames it searches; stops the run at one."""

    def __init__(self, stop: int = 1 << 30) -> None:
        super().__init__()
        self.count, self._stop = 0, stop

    def detect(self, image: Image) -> Faces:
        self.count += 1
        if self.count == self._stop:
            raise Stopped
        return super().detect(image)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", SEGMENT / 25)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shots of red and of green, in turn, who walk; blue is hidden for a moment in every third."""

    def pictures() -> Iterator[Image]:
        for frame in range(SHOT * SHOTS):
            shot, step = divmod(frame, SHOT)
            picture = backdrop(seed=shot, shade=80 if shot % 2 else 180)
            draw_face(picture, ("red", "green")[shot % 2], (30 + 2 * step, 40, 60, 60))
            if shot % 3 == 0 and not 6 <= step < 9:
                draw_face(picture, "blue", (200, 60, 70, 70))
            yield picture

    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", pictures(), sound=True)


class Readers:
    """Counts how often a video is opened, and how many readers of it are open at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = self.most = self._open = 0
        self._read_frames = read_frames
        monkeypatch.setattr(pipeline, "read_frames", self._count)

    def _count(self, *args: Any) -> Iterator[Frame]:
        self.opened, self._open = self.opened + 1, self._open + 1
        self.most = max(self.most, self._open)
        try:
            yield from self._read_frames(*args)
        finally:
            self._open -= 1


@pytest.fixture
def index(film: Path, tmp_path: Path) -> Callable[..., IndexContents]:
    def run(
        engine: FakeEngine, config: Config | None = None, note: Callable[[str], None] = lambda text: None
    ) -> IndexContents:
        return index_contents(film, engine, config, tmp_path, note)

    return run


@pytest.fixture(scope="module")
def whole(film: Path) -> tuple[IndexContents, int]:
    """What a run finds that nobody interrupted, and how many frames it searched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_SECONDS", SEGMENT / 25)
        engine = Counting()
        return index_contents(film, engine), engine.count


@pytest.fixture(scope="module")
def late_stop(film: Path, whole: tuple[IndexContents, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which a run was stopped at nine tenths of its search; not to be changed."""
    store = tmp_path_factory.mktemp("late_stop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_SECONDS", SEGMENT / 25)
        with pytest.raises(Stopped):
            index_contents(film, Counting(round(0.9 * whole[1])), store=store)
    return store


@pytest.fixture
def stopped_late(late_stop: Path, tmp_path: Path) -> None:
    """The store of `index` is a copy of `late_stop`."""
    shutil.copytree(late_stop, tmp_path, dirs_exist_ok=True)


def interrupted(index: Callable[..., IndexContents], stop: int) -> None:
    with pytest.raises(Stopped):
        index(Counting(stop))


def assert_same(one: IndexContents, other: IndexContents) -> None:
    assert replace(one.stats, seconds=0) == replace(other.stats, seconds=0)
    for part in ("video", "config", "shots", "clusters", "tracklets", "engine"):
        assert getattr(one, part) == getattr(other, part), part
    assert np.array_equal(one.times.pts, other.times.pts)
    assert np.array_equal(one.times.durations, other.times.durations)
    for number, seen in one.sightings.items():
        for name in ("frames", "boxes", "scores", "sources"):
            assert np.array_equal(getattr(seen, name), getattr(other.sightings[number], name))
    for number, looks in one.exemplars.items():
        for look, again in zip(looks, other.exemplars[number], strict=True):
            assert (look.frame, look.quality, look.jpeg) == (again.frame, again.quality, again.jpeg)
            assert np.array_equal(look.embedding, again.embedding)
            assert np.array_equal(look.landmarks, again.landmarks)


def database(store: Path) -> Path | None:
    """The unfinished index in a store."""
    found = list(store.glob(f"{UNFINISHED}*/{DATABASE}"))
    assert len(found) <= 1
    return found[0] if found else None


def final_frames(store: Path) -> int:
    """How far the unfinished index in a store has come."""
    path = database(store)
    if path is None:
        return 0
    with closing(sqlite3.connect(path)) as rows:
        found = rows.execute("SELECT value FROM meta WHERE key = 'checkpoint'").fetchone()
    return int(json.loads(found[0])["frames"]) if found else 0


def test_the_film_is_as_the_tests_need_it(whole: tuple[IndexContents, int]) -> None:
    contents, _ = whole
    assert [shot.start for shot in contents.shots] == [SHOT * shot for shot in range(SHOTS)]
    assert len(contents.clusters) == 3


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_a_run_resumes_where_one_stopped(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path, share: float
) -> None:
    expected, searched = whole
    interrupted(index, round(share * searched))
    frames = final_frames(tmp_path)
    engine = Counting()
    assert_same(index(engine), expected)
    if share >= 0.9:
        assert frames >= 2 * SEGMENT
        assert engine.count < 0.7 * searched, "what is final is not searched again"


def test_a_run_may_be_interrupted_again_and_again(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path
) -> None:
    expected, searched = whole
    for _ in range(3):
        interrupted(index, round(0.6 * searched))
        if final_frames(tmp_path) >= 3 * SEGMENT:
            break
    assert_same(index(FakeEngine()), expected)


@pytest.mark.parametrize("damage", ["empty", "text", "cut off", *(f"bit {place}" for place in range(8))])
@pytest.mark.usefixtures("stopped_late")
def test_a_torn_unfinished_index_is_made_again(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path, damage: str
) -> None:
    """Whatever is harmed, a picture within a row too: nothing of it comes into the index."""
    expected, _ = whole
    path = database(tmp_path)
    assert path is not None
    content = bytearray(path.read_bytes())
    if damage.startswith("bit"):
        place = 4096 + (len(content) - 4096) * (2 * int(damage.split()[1]) + 1) // 16
        content[place] ^= 0x10
    path.write_bytes(
        {"empty": b"", "text": b"text" * 2000, "cut off": bytes(content[:-3000])}.get(damage, content)
    )
    assert_same(index(FakeEngine()), expected)


@pytest.mark.usefixtures("stopped_late")
def test_a_turned_bit_in_a_crop_is_noticed(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path
) -> None:
    """SQLite finds nothing wrong with it."""
    expected, searched = whole
    path = database(tmp_path)
    assert path is not None
    with closing(sqlite3.connect(path)) as rows:
        (crop,) = rows.execute("SELECT crop FROM exemplars LIMIT 1").fetchone()
        rows.execute("UPDATE exemplars SET crop = ? WHERE exemplar = 1", (crop[:-9] + b"\0" + crop[-8:],))
        rows.commit()
    engine = Counting()
    assert_same(index(engine), expected)
    assert engine.count >= searched


def test_a_video_that_looks_other_than_before_is_read_again(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, searched = whole
    with monkeypatch.context() as patch:
        patch.setattr(segments, "fingerprint", lambda view: 7)
        interrupted(index, round(0.9 * searched))
    readers = Readers(monkeypatch)
    engine, notes = Counting(), list[str]()
    assert_same(index(engine, note=notes.append), expected)
    assert engine.count >= searched
    assert [note.partition(": ")[2].split()[0] for note in notes] == ["resuming", "its"]
    assert notes[1].endswith("starting again")
    assert (readers.opened, readers.most) == (2, 1), "the first pass has let go of the video"


@pytest.mark.parametrize("other", ["settings", "weights", "results", "format of 0.1"])
@pytest.mark.usefixtures("stopped_late")
def test_what_was_made_of_something_else_is_not_resumed(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], film: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, other: str,
) -> None:  # fmt: skip
    _, searched = whole
    engine, config = Counting(), Config()
    notes: list[str] = []
    if other == "settings":
        config = Config(min_face=24)
    elif other == "weights":
        engine._salt = "new"
    elif other == "results":
        monkeypatch.setattr(unfinished, "RESULTS_VERSION", 99)
    else:
        path = database(tmp_path)
        assert path is not None
        path.rename(path.with_name("0123456789ab-00000.npz"))
    pipeline.index_video(
        probe(film), hash_file(film), tmp_path, engine, config, lambda done, total: None, notes.append
    )
    assert engine.count >= searched
    assert len(notes) == 1
    assert "cannot be continued" in notes[0]
    assert not list(tmp_path.glob(f"{UNFINISHED}*"))


@pytest.mark.usefixtures("stopped_late")
def test_what_is_unfinished_is_for_its_owner_and_goes(
    index: Callable[..., IndexContents], film: Path, tmp_path: Path
) -> None:
    (folder,) = tmp_path.glob(f"{UNFINISHED}*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    index(FakeEngine())
    assert not folder.exists()


@pytest.mark.usefixtures("stopped_late")
def test_old_remains_are_cleaned(tmp_path: Path) -> None:
    clean_unfinished(tmp_path)
    assert final_frames(tmp_path), "somebody may still resume"
    (digits,) = unfinished_runs(tmp_path)
    assert delete_unfinished(tmp_path) == (digits,)
    assert not list(tmp_path.glob(f"{UNFINISHED}*"))


def test_what_a_process_works_on_is_not_deleted(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], film: Path, tmp_path: Path
) -> None:
    """Also when an older index of the video is written after the run began, as `reembed` does."""
    index(FakeEngine())
    (complete,) = index_folders(tmp_path)
    complete.rename(tmp_path / "aside")
    interrupted(index, round(0.9 * whole[1]))
    (tmp_path / "aside").rename(complete)
    os.utime(complete / DATABASE)
    with video_lock(tmp_path, hash_file(film), lambda: None):
        clean_unfinished(tmp_path)
        assert delete_unfinished(tmp_path) == ()
        with pytest.raises(StoreError, match="is being indexed by another process"):
            Catalogue(tmp_path).remove(complete)
        assert final_frames(tmp_path)
        assert index_folders(tmp_path) == [complete]
    clean_unfinished(tmp_path)
    assert not list(tmp_path.glob(f"{UNFINISHED}*"))


def test_a_short_video_that_is_stopped_leaves_nothing(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 60.0)
    with pytest.raises(Stopped):
        index_contents(film, Counting(20), store=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_segment_is_added_whole_or_not_at_all(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Stopped between its rows and their commit, the file holds the segments before; the next run resumes there."""
    expected, searched = whole
    commit = writer.IndexWriter.commit

    def stop(self: writer.IndexWriter, checkpoint: Checkpoint) -> None:
        if self.checkpoint.frames >= 2 * SEGMENT:
            raise Stopped
        commit(self, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(writer.IndexWriter, "commit", stop)
        with pytest.raises(Stopped):
            index(FakeEngine())
    frames = final_frames(tmp_path)
    path = database(tmp_path)
    assert path is not None
    with closing(sqlite3.connect(path)) as rows:
        assert rows.execute("SELECT count(*), max(frame) FROM frames").fetchone() == (frames, frames - 1)
    engine = Counting()
    assert_same(index(engine), expected)
    assert engine.count < searched


@pytest.mark.parametrize("moved", [False, True])
def test_a_complete_index_that_did_not_get_its_name_gets_it_without_decoding(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], film: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, moved: bool,
) -> None:  # fmt: skip
    """Stopped after everything was written and before the folder was renamed; the video may be moved meanwhile."""
    with monkeypatch.context() as patch:

        def stop(*args: object) -> Path:
            raise Stopped

        patch.setattr(UnfinishedIndex, "move_into_place", stop)
        with pytest.raises(Stopped):
            index(FakeEngine())
    assert not index_folders(tmp_path)
    path = film
    if moved:
        (tmp_path / "elsewhere").mkdir()
        path = tmp_path / "elsewhere" / "other.mp4"
        os.link(film, path)
    engine = Counting()
    contents = index_contents(path, engine, store=tmp_path)
    assert engine.count == 0
    assert contents.video.path == str(path)
    assert_same(replace(contents, video=whole[0].video), whole[0])
    (folder,) = index_folders(tmp_path)
    assert folder.name.startswith(path.name)


def test_a_complete_index_stays_when_it_cannot_be_moved(
    index: Callable[..., IndexContents], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of a video with no checkpoint on the way."""
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 60.0)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "replace_folders", full)
        with pytest.raises(UnwritableError, match="No space left"):
            index(FakeEngine())
    engine, notes = Counting(), list[str]()
    index(engine, note=notes.append)
    assert engine.count == 0
    assert notes == ["film.mp4: an earlier run had finished; moving its index into place"]


def test_a_video_that_is_touched_at_the_end_is_not_read_again(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched, store = Path(shutil.copy(film, tmp_path / "touched.mp4")), tmp_path / "s"
    complete = UnfinishedIndex.complete

    def touch(*args: Any) -> None:
        complete(*args)
        os.utime(touched, (1, 1))

    with monkeypatch.context() as patch:
        patch.setattr(UnfinishedIndex, "complete", touch)
        with pytest.raises(VideoError, match="changed while it was indexed; index it again"):
            index_contents(touched, FakeEngine(), store=store)
    assert not index_folders(store)
    engine = Counting()
    assert index_contents(touched, engine, store=store).video.mtime_ns == 10**9
    assert engine.count == 0


@pytest.mark.usefixtures("stopped_late")
def test_an_unfinished_index_that_is_locked_stays(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    expected, searched = whole
    path = database(tmp_path)
    assert path is not None
    monkeypatch.setattr(writer, "LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnwritableError, match="locked"):
            index(FakeEngine())
    engine = Counting()
    assert_same(index(engine), expected)
    assert engine.count < searched


@pytest.mark.usefixtures("stopped_late")
def test_the_seconds_are_those_of_all_runs(index: Callable[..., IndexContents], tmp_path: Path) -> None:
    checkpoint = change_checkpoint(tmp_path, lambda values: {**values, "seconds": values["seconds"] + 1000})
    assert 0 < checkpoint["seconds"] < 1000
    assert 1000 < index(FakeEngine()).stats.seconds < 2000


@pytest.mark.parametrize("values", [[], {"frames": 20}])
@pytest.mark.usefixtures("stopped_late")
def test_a_checkpoint_of_another_form_is_not_resumed(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path, values: Any
) -> None:
    expected, _ = whole
    change_checkpoint(tmp_path, lambda _: values)
    notes: list[str] = []
    assert_same(index(FakeEngine(), note=notes.append), expected)
    assert "cannot be continued (its checkpoint cannot be read)" in notes[0]


def change_checkpoint(store: Path, change: Callable[[Any], Any]) -> Any:
    """Rewrite the checkpoint of the unfinished index in a store; returns what it was."""
    path = database(store)
    assert path is not None
    with closing(sqlite3.connect(path)) as rows:
        before = json.loads(rows.execute("SELECT value FROM meta WHERE key = 'checkpoint'").fetchone()[0])
        rows.execute("UPDATE meta SET value = ? WHERE key = 'checkpoint'", (json.dumps(change(before)),))
        rows.commit()
    return before


def test_memory_holds_no_segment_that_is_stored(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a film of any length only pooled embeddings and ticks stay: no crop and no box of a segment before."""
    import gc

    from facereel.store.model.records import Exemplar, Sightings

    alive: list[int] = []
    commit = writer.IndexWriter.commit

    def count(self: writer.IndexWriter, checkpoint: Checkpoint) -> None:
        commit(self, checkpoint)
        gc.collect()
        # Each object of a class holds a reference to it. gc.get_objects() would disturb threads that build tuples.
        alive.append(sys.getrefcount(Exemplar) + sys.getrefcount(Sightings))

    monkeypatch.setattr(writer.IndexWriter, "commit", count)
    gc.collect()
    index_contents(film, FakeEngine(), store=tmp_path)
    assert len(alive) >= 4
    assert max(alive[2:]) <= max(alive[:2]) + 8, "no more at the end than at the start"


def coded(path: Path, options: dict[str, str], irregular: bool = False) -> Path:
    """The film's shots with B-frames, and with gaps between frames that are not alike if `irregular`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.options = {"preset": "veryfast", "crf": "12", **options}
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(SHOT * 9):
            shot, step = divmod(number, SHOT)
            picture = backdrop(seed=shot, shade=80 if shot % 2 else 180)
            draw_face(picture, ("red", "green")[shot % 2], (30 + 2 * step, 40, 60, 60))
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts = 40 * number + (number * 7 % 13 if irregular else 0)
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["vfr.mp4", "b.mkv", "open.ts", "open.mp4", "refresh.mp4"])
def test_any_way_of_coding_resumes(tmp_path: Path, name: str) -> None:
    """B-frames, open groups of pictures, no keyframes but intra refresh, irregular times: rows equal in each."""
    options = {
        "vfr": {"bf": "3", "g": "250"},
        "b": {"bf": "3", "b-pyramid": "normal", "g": "30"},
        "open": {"bf": "3", "x264-params": "open-gop=1:scenecut=0:keyint=12:min-keyint=12"},
        "refresh": {"x264-params": "intra-refresh=1:keyint=20:scenecut=0"},
    }[name.partition(".")[0]]
    film = coded(tmp_path / name, options, irregular=name.startswith("vfr"))
    store, counting = tmp_path / "s", Counting()
    expected = index_contents(film, counting)
    with pytest.raises(Stopped):
        index_contents(film, Counting(round(0.95 * counting.count)), store=store)
    assert final_frames(store)
    engine = Counting()
    assert_same(index_contents(film, engine, store=store), expected)
    if name != "refresh.mp4":
        assert engine.count < 0.9 * counting.count, "what is final is not searched again"


def test_one_long_shot_is_indexed_all_the_same(tmp_path: Path) -> None:
    """Without a cut there is nowhere to resume: the index is one segment."""

    def pictures() -> Iterator[Image]:
        for step in range(90):
            picture = backdrop()
            draw_face(picture, "red", (20 + 2 * step, 40, 60, 60))
            yield picture

    film = write_film(tmp_path / "long.mp4", pictures())
    found = index_contents(film, FakeEngine(), store=tmp_path / "s")
    assert [(shot.start, shot.end) for shot in found.shots] == [(0, 90)]
    assert not list((tmp_path / "s").glob(".*"))


def test_after_a_loss_nothing_more_is_final(film: Path, tmp_path: Path) -> None:
    """What a decoder makes up for lost data may be other when it begins elsewhere: such a video starts again."""
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        packets = [(p.pos or 0, p.size) for p in container.demux(video=0) if p.size]
    for place in (50, 51):
        position, size = packets[place]
        data[position + 12 : position + size] = bytes(size - 12)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(data)
    counting, store = Counting(), tmp_path / "s"
    expected = index_contents(torn, counting)
    assert expected.video.warnings
    with pytest.raises(Stopped):
        index_contents(torn, Counting(round(0.8 * counting.count)), store=store)
    assert final_frames(store) <= 50
    assert_same(index_contents(torn, FakeEngine(), store=store), expected)
