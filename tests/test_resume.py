"""A run that was interrupted goes on where it stopped, and ends with what one that was not would have found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facereel.indexer import pipeline, segments
from facereel.indexer.media.video import probe
from facereel.store.files.digest import hash_file
from facereel.store.model.config import Config
from facereel.store.model.records import Faces, Image, IndexContents
from facereel.store.resume import checkpoint
from facereel.store.resume.checkpoint import UNFINISHED, Checkpoint, clean_checkpoints
from facereel.store.resume.segments import StoredSegment, pack, unpack
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film

SHOT, SHOTS = 15, 12  # frames of a shot, and how many there are
CHAPTER = 20  # frames that a segment has at least


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
def short_chapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "CHAPTER_SECONDS", CHAPTER / 25)


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


@pytest.fixture
def index(film: Path, tmp_path: Path) -> Callable[..., IndexContents]:
    def run(engine: FakeEngine, config: Config | None = None) -> IndexContents:
        config, sha256 = config or Config(), hash_file(film)
        checkpoint = Checkpoint(tmp_path, sha256, engine.info, engine.threshold.value, config)
        return pipeline.look_at(probe(film), sha256, engine, config, lambda done, total: None, checkpoint)

    return run


@pytest.fixture(scope="module")
def whole(film: Path) -> tuple[IndexContents, int]:
    """What a run finds that nobody interrupted and nobody kept, and how many frames it searched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "CHAPTER_SECONDS", CHAPTER / 25)
        engine = Counting()
        found = pipeline.look_at(probe(film), hash_file(film), engine, Config(), lambda done, total: None)
    return found, engine.count


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


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{UNFINISHED}*/*.npz"))


def test_the_film_is_as_the_tests_need_it(whole: tuple[IndexContents, int]) -> None:
    contents, _ = whole
    assert [shot.start for shot in contents.shots] == [SHOT * shot for shot in range(SHOTS)]
    assert len(contents.clusters) == 3


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_a_run_goes_on_where_one_stopped(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path, share: float
) -> None:
    expected, searched = whole
    interrupted(index, round(share * searched))
    chapters_kept = len(kept(tmp_path))
    engine = Counting()
    assert_same(index(engine), expected)
    if share >= 0.9:
        assert chapters_kept >= 2
        assert engine.count < 0.7 * searched, "what was kept is not searched again"


def test_a_run_may_be_interrupted_again_and_again(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path
) -> None:
    expected, searched = whole
    for _ in range(3):
        interrupted(index, round(0.6 * searched))
        if len(kept(tmp_path)) >= 3:
            break
    assert_same(index(FakeEngine()), expected)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", None])
def test_a_torn_chapter_is_made_anew(
    index: Callable[..., IndexContents],
    whole: tuple[IndexContents, int],
    tmp_path: Path,
    damage: bytes | None,
) -> None:
    expected, searched = whole
    interrupted(index, round(0.9 * searched))
    last = kept(tmp_path)[-1]
    if damage is None:
        content = bytearray(last.read_bytes())
        content[len(content) // 2] ^= 0xFF
        damage = bytes(content)
    last.write_bytes(damage)
    assert_same(index(FakeEngine()), expected)


def test_what_looks_other_than_before_is_looked_at_anew(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, searched = whole
    with monkeypatch.context() as patch:
        patch.setattr(segments, "mark", lambda view: 7)
        interrupted(index, round(0.9 * searched))
    engine = Counting()
    assert_same(index(engine), expected)
    assert engine.count >= searched


def test_other_settings_do_not_go_on(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int]
) -> None:
    _, searched = whole
    interrupted(index, round(0.9 * searched))
    engine = Counting()
    index(engine, Config(min_face=24))
    assert engine.count >= searched


def test_what_is_kept_is_for_its_owner_and_goes(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], film: Path, tmp_path: Path
) -> None:
    interrupted(index, round(0.9 * whole[1]))
    (folder,) = tmp_path.glob(f"{UNFINISHED}*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    pipeline.index_video(
        probe(film), hash_file(film), tmp_path, FakeEngine(), Config(), lambda done, total: None
    )
    assert not folder.exists()


def test_old_remains_are_cleaned(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path
) -> None:
    interrupted(index, round(0.9 * whole[1]))
    clean_checkpoints(tmp_path)
    assert kept(tmp_path), "somebody may still go on"
    clean_checkpoints(tmp_path, everything=True)
    assert not list(tmp_path.glob(f"{UNFINISHED}*"))


def test_anything_else_is_no_chapter() -> None:
    for content in (b"", b"text", b"PK\x05\x06" + bytes(18)):
        with pytest.raises(ValueError, match=r"no chapter|cannot|allow_pickle"):
            unpack(content)


def test_a_kill_while_a_chapter_is_written_costs_that_chapter(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Half of it lies under another name; the next run does not take it for one, and leaves nothing of it."""
    expected, _ = whole

    def torn(kept: StoredSegment) -> bytes:
        (folder,) = tmp_path.glob(f"{UNFINISHED}*")
        if len(list(folder.glob("*.npz"))) == 1:
            (unfinished,) = folder.glob(".*.part")
            unfinished.write_bytes(pack(kept)[:100])
            monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)  # the dead tidy up nothing
            raise Stopped
        return pack(kept)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "pack", torn)
        with pytest.raises(Stopped):
            index(FakeEngine())
    monkeypatch.undo()
    monkeypatch.setattr(segments, "CHAPTER_SECONDS", CHAPTER / 25)
    assert len(kept(tmp_path)) == 1
    assert list(tmp_path.glob(f"{UNFINISHED}*/.*.part"))
    assert_same(index(FakeEngine()), expected)
    assert not list(tmp_path.glob(f"{UNFINISHED}*/.*.part"))


def test_chapters_of_another_video_are_not_taken(
    index: Callable[..., IndexContents], whole: tuple[IndexContents, int], tmp_path: Path
) -> None:
    """A chapter that does not go on where the last one ended is not this video's."""
    expected, searched = whole
    interrupted(index, round(0.9 * searched))
    first, second, *_ = kept(tmp_path)
    second.write_bytes(first.read_bytes())
    assert_same(index(FakeEngine()), expected)


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
def test_any_way_of_coding_goes_on(tmp_path: Path, name: str) -> None:
    """B-frames, open groups of pictures, no keyframes but intra refresh, irregular times: rows equal in each."""
    options = {
        "vfr": {"bf": "3", "g": "250"},
        "b": {"bf": "3", "b-pyramid": "normal", "g": "30"},
        "open": {"bf": "3", "x264-params": "open-gop=1:scenecut=0:keyint=12:min-keyint=12"},
        "refresh": {"x264-params": "intra-refresh=1:keyint=20:scenecut=0"},
    }[name.partition(".")[0]]
    film = coded(tmp_path / name, options, irregular=name.startswith("vfr"))
    sha256, config, store = hash_file(film), Config(), tmp_path / "s"

    def run(engine: FakeEngine, book: Checkpoint | None) -> IndexContents:
        return pipeline.look_at(probe(film), sha256, engine, config, lambda done, total: None, book)

    def journal_of(engine: FakeEngine) -> Checkpoint:
        return Checkpoint(store, sha256, engine.info, engine.threshold.value, config)

    counting = Counting()
    expected = run(counting, None)
    stopping, book = Counting(round(0.95 * counting.count)), journal_of(counting)
    with pytest.raises(Stopped):
        run(stopping, book)
    assert kept(store)
    engine = Counting()
    assert_same(run(engine, journal_of(engine)), expected)
    if name != "refresh.mp4":
        assert engine.count < 0.9 * counting.count, "what was kept is not searched again"


def test_one_long_shot_is_indexed_all_the_same(tmp_path: Path) -> None:
    """Without a cut there is nowhere to go on from: nothing is kept, nothing breaks."""

    def pictures() -> Iterator[Image]:
        for step in range(90):
            picture = backdrop()
            draw_face(picture, "red", (20 + 2 * step, 40, 60, 60))
            yield picture

    film = write_film(tmp_path / "long.mp4", pictures())
    engine, sha256 = FakeEngine(), hash_file(film)
    book = Checkpoint(tmp_path / "s", sha256, engine.info, engine.threshold.value, Config())
    found = pipeline.look_at(probe(film), sha256, engine, Config(), lambda done, total: None, book)
    assert [(shot.start, shot.end) for shot in found.shots] == [(0, 90)]
    assert not (tmp_path / "s").exists()


def test_after_a_loss_nothing_more_is_kept(film: Path, tmp_path: Path) -> None:
    """What a decoder makes up for lost data may be other when it begins elsewhere: such a video starts again."""
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        packets = [(p.pos or 0, p.size) for p in container.demux(video=0) if p.size]
    for place in (50, 51):
        position, size = packets[place]
        data[position + 12 : position + size] = bytes(size - 12)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(data)
    engine, sha256 = FakeEngine(), hash_file(torn)

    def run(book: Checkpoint | None, by: FakeEngine = engine) -> IndexContents:
        return pipeline.look_at(probe(torn), sha256, by, Config(), lambda done, total: None, book)

    expected = run(None)
    assert expected.video.warnings
    with pytest.raises(Stopped):
        run(Checkpoint(tmp_path / "s", sha256, engine.info, engine.threshold.value, Config()), Counting(60))
    ends = [unpack(path.read_bytes()).segment.end for path in kept(tmp_path / "s")]
    assert all(end <= 50 for end in ends)
    assert_same(
        run(Checkpoint(tmp_path / "s", sha256, engine.info, engine.threshold.value, Config())), expected
    )
