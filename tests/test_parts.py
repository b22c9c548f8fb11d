"""A video that is read in parts ends with the index of one pass; where nobody can show that, it is still right."""

from __future__ import annotations

import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from facereel.indexer import parts, segments
from facereel.indexer.jobs import local, node, nodes, scratch
from facereel.indexer.jobs.events import (
    BeingIndexed,
    Event,
    Failed,
    Indexed,
    Job,
    Note,
    PartJob,
    PartRead,
    Progress,
    ScratchJob,
    nothing_arrives,
)
from facereel.indexer.jobs.job import run_part
from facereel.indexer.jobs.local import LocalRunner
from facereel.indexer.jobs.node import Complete, PartData, index_here, part_here
from facereel.indexer.jobs.node import Part as IndexData
from facereel.indexer.jobs.team import PartProgress
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import frame_ticks, probe, read_frames
from facereel.indexer.parts import PartEnd, join_within_shot, plan_parts, renumber
from facereel.indexer.pipeline import index_part, index_video
from facereel.store.files import folders
from facereel.store.files.digest import hash_file
from facereel.store.index.incoming import IncomingIndex
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineError, VideoError
from facereel.store.model.records import (
    Checkpoint,
    Exemplar,
    Faces,
    Image,
    Part,
    Segment,
    Shot,
    Sightings,
    Tracklet,
)
from facereel.store.resume.unfinished import UnfinishedIndex
from tests.factories import IndexContents, index_contents, read_contents
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film
from tests.test_resume import assert_same
from tests.video_factory import Recipe, write_video

SEGMENT = 50  # frames from one line to the next
FRAMES = 300


@pytest.fixture(autouse=True, scope="module")
def short_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_SECONDS", SEGMENT / 25)
        patch.setattr(segments, "LINE_SECONDS", 0.8)
        patch.setattr(parts, "MIN_PART_SECONDS", SEGMENT / 25)
        yield


@dataclass
class Team:
    """Reads all parts before anybody asks for them, in this process; those at some lines fail."""

    film: Path
    folder: Path
    count: int = 2
    failing: Sequence[int] = ()
    change: Callable[[PartEnd], PartEnd] = lambda end: end
    ends: dict[int, tuple[PartEnd, Path]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)  # frames done, as index_video says

    def split(self, first: int) -> list[Part]:
        video = probe(self.film)
        ticks = frame_ticks(video)
        if self.asked or ticks is None:
            return []
        self.asked.append(first)
        planned = plan_parts(video, ticks, first, self.count)
        for part in planned:
            file = self.folder / f"{part.start}"
            if part.start not in self.failing:
                try:
                    end = index_part(video, part, FakeEngine(), Config(), file, lambda done, total: None)
                except VideoError:
                    continue
                self.ends[part.start] = self.change(end), file
        return planned

    def result(self, part: Part) -> tuple[PartEnd, Path] | None:
        return self.ends.get(part.start)


def in_parts(
    film: Path, tmp_path: Path, count: int = 2, **options: Any
) -> tuple[IndexContents, Team, Counting]:
    team, engine = Team(film, Path(tempfile.mkdtemp(dir=tmp_path)), count, **options), Counting()
    store = Path(tempfile.mkdtemp(dir=tmp_path))
    folder = index_video(
        probe(film),
        hash_file(film),
        store,
        engine,
        Config(),
        lambda done, total: team.progress.append(done),
        team=team,
    )
    return read_contents(folder), team, engine


class Counting(FakeEngine):
    """Counts the pictures that it searches."""

    count = 0

    def detect(self, image: Image) -> Faces:
        self.count += 1
        return super().detect(image)


def walk(frame: int, shots: Sequence[int]) -> Image:
    """Red or green walks, in the shots that begin with these frames; blue comes and goes."""
    shot = sum(start <= frame for start in shots)
    picture = backdrop(seed=shot, shade=80 if shot % 2 else 180)
    draw_face(picture, ("red", "green")[shot % 2], (30 + frame % 40, 40, 60, 60))
    if frame % 60 < 40:
        draw_face(picture, "blue", (200, 60, 70, 70))
    return picture


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight shots of uneven length."""
    shots = [0, 37, 74, 111, 160, 190, 222, 259]
    pictures = (walk(frame, shots) for frame in range(FRAMES))
    return write_film(tmp_path_factory.mktemp("cuts") / "cuts.mp4", pictures, sound=True)


@pytest.fixture(scope="module")
def one_shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shot: red stands, green moves slowly, blue goes out of the picture and comes back."""

    def pictures() -> Iterator[Image]:
        for frame in range(FRAMES):
            picture = backdrop(seed=3, shade=120)
            draw_face(picture, "red", (20, 30, 60, 60))
            draw_face(picture, "green", (100 + frame // 8, 90, 60, 60))
            draw_face(picture, "blue", (270 + 60 * math.sin(frame / 20), 20, 50, 50))
            yield picture

    return write_film(tmp_path_factory.mktemp("shot") / "shot.mp4", pictures())


@pytest.fixture(scope="module")
def whole(cuts: Path, short_parts: None) -> tuple[IndexContents, int]:
    """What one pass finds in the film with cuts, and how many pictures it searches."""
    engine = Counting()
    return index_contents(cuts, engine), engine.count


@pytest.mark.parametrize("count", [1, 3])
def test_parts_that_meet_at_cuts_give_the_index_of_one_pass(
    cuts: Path, whole: tuple[IndexContents, int], tmp_path: Path, count: int
) -> None:
    contents, team, engine = in_parts(cuts, tmp_path, count)
    assert_same(contents, whole[0])
    assert len(team.ends) == count
    assert not any(file.exists() for _, file in team.ends.values()), (
        "a disk that is full of them stops the run"
    )
    assert engine.count < 0.8 * whole[1], "parts that others have read are not read again"


def other_pictures(end: PartEnd) -> PartEnd:
    return replace(end, begin=replace(end.begin, fingerprint=end.begin.fingerprint ^ 1))


def other_ticks(end: PartEnd) -> PartEnd:
    log = replace(end.log, pts=end.log.pts[:1] + end.log.pts[2:] + end.log.pts[-1:])
    return replace(end, log=log)


@pytest.mark.parametrize("change", [other_pictures, other_ticks])
def test_what_cannot_be_shown_to_fit_is_read_in_one_pass(
    cuts: Path, whole: tuple[IndexContents, int], tmp_path: Path, change: Callable[[PartEnd], PartEnd]
) -> None:
    contents, team, _ = in_parts(cuts, tmp_path, 1, change=change)
    assert_same(contents, whole[0])
    assert len(team.ends) == 1


def test_a_part_that_fails_is_read_with_the_rest(
    cuts: Path, whole: tuple[IndexContents, int], tmp_path: Path
) -> None:
    contents, team, _ = in_parts(cuts, tmp_path, 2, failing=[100])
    assert_same(contents, whole[0])
    assert list(team.ends) == [200]
    assert max(after - before for before, after in pairwise(team.progress)) > SEGMENT, (
        "the second part is taken"
    )


def test_a_run_that_is_killed_resumes_after_the_parts_that_it_took(cuts: Path, tmp_path: Path) -> None:
    """So the parts are not needed again, and end with the same."""

    class Killed(Exception):
        pass

    class Dying(Team):
        def result(self, part: Part) -> tuple[PartEnd, Path] | None:
            if part.end is None:
                raise Killed
            return super().result(part)

    store, sha256 = tmp_path / "s", hash_file(cuts)
    team = Dying(cuts, tmp_path)
    with pytest.raises(Killed):
        index_video(probe(cuts), sha256, store, FakeEngine(), Config(), lambda done, total: None, team=team)
    with_second = UnfinishedIndex(store, sha256, FakeEngine().info, FakeEngine().threshold.value, Config())
    assert with_second.checkpoint.frames >= 200
    with_second.close()


def test_within_a_shot_tracklets_of_one_face_are_joined(one_shot: Path, tmp_path: Path) -> None:
    contents, team, _ = in_parts(one_shot, tmp_path, 2)
    whole = index_contents(one_shot, FakeEngine())
    assert [end.within_shot for end, _ in team.ends.values()] == [True, True]
    assert contents.shots == whole.shots
    spans = [[(t.start, t.end, t.start_reason, t.end_reason) for t in c.tracklets] for c in (contents, whole)]
    assert spans[0] == spans[1]
    assert len(contents.clusters) == len(whole.clusters) == 3
    assert max(after - before for before, after in pairwise(team.progress)) > 20, "a part is taken"


LINE = 120


def stretch(start: int, end: int, *faces: tuple[tuple[float, float], int]) -> Segment:
    """A segment of one shot with faces of 40 px, each at a place and with the embedding of one of a few people."""
    frames = np.arange(start, end)
    tracklets = []
    for number, (place, person) in enumerate(faces, start=1):
        boxes = np.tile(np.array([*place, 40, 40], np.float32), (len(frames), 1))
        sightings = Sightings(
            frames, boxes, np.ones(len(frames), np.float32), np.zeros(len(frames), np.uint8)
        )
        exemplar = Exemplar(
            frame=start, box=boxes[0], landmarks=np.zeros((5, 2), np.float32), score=0.9, quality=0.5 + start / 1000,
            sharpness=1.0, frontality=1.0, jpeg=b"", embedding=np.eye(4, dtype=np.float32)[person],
        )  # fmt: skip
        tracklet = Tracklet(number, 0, start, end, "scene_cut", "scene_cut", 0, 40.0, 1.0)
        tracklets.append((tracklet, sightings, (exemplar,)))
    after = Checkpoint(frames=end, shots=1, tracklets=len(faces), searched=5)
    return Segment(start, (Shot(0, start, end),), tuple(tracklets), after, within_shot=end == LINE)


@pytest.mark.parametrize(
    ("before", "after", "joined"),
    [
        ([((10, 10), 0), ((90, 10), 1)], [((91, 11), 1), ((12, 10), 0)], {0, 1}),
        ([((10, 10), 0)], [((10, 10), 1)], set()),  # another face at the same place
        ([((10, 10), 0)], [((35, 10), 0)], set()),  # the same one somewhere else
        ([((10, 10), 0), ((10, 30), 0)], [((10, 10), 0)], set()),  # two of which one may go on
        ([((10, 10), 0)], [((10, 10), 0), ((10, 32), 0)], set()),
    ],
)
def test_what_is_joined_within_a_shot(
    before: list[tuple[tuple[float, float], int]],
    after: list[tuple[tuple[float, float], int]],
    joined: set[int],
) -> None:
    first = stretch(0, LINE, *before)
    second = renumber(stretch(LINE, 200, *after), Checkpoint(frames=LINE), first.after)
    both = join_within_shot(first, second, 1.0, most=6)
    assert both.shots == (Shot(0, 0, 200),)
    tracklets = [tracklet for tracklet, _, _ in both.tracklets]
    assert [t.number for t in tracklets] == list(range(1, len(before) + len(after) - len(joined) + 1))
    assert {place for place, t in enumerate(tracklets) if (t.start, t.end) == (0, 200)} == joined
    assert {t.start_reason for t in tracklets if t.start == LINE} <= {"identity_change"}
    assert (both.after.tracklets, both.after.shots, both.after.searched) == (len(tracklets), 1, 10)
    for tracklet, sightings, exemplars in both.tracklets:
        assert sightings.frames.tolist() == list(range(tracklet.start, tracklet.end))
        assert len({int(exemplar.embedding.argmax()) for exemplar in exemplars}) == 1


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_open_groups_of_pictures_and_uneven_times(tmp_path: Path, suffix: str) -> None:
    """A part begins in the middle of a group whose first pictures need those before it."""
    film, rng = tmp_path / f"open.{suffix}", np.random.default_rng(5)
    steps = np.append(0, rng.integers(25, 60, 249)).cumsum()
    shots = [0, 37, 74, 111, 160, 190, 222]
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.pix_fmt, stream.width, stream.height = "yuv420p", 320, 180
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.options = {
            "preset": "veryfast", "x264-params": "open-gop=1:keyint=24:min-keyint=24:bframes=3:scenecut=0",
        }  # fmt: skip
        for number, step in enumerate(steps.tolist()):
            picture = av.VideoFrame.from_ndarray(walk(number, shots), "bgr24")
            picture.pts, picture.time_base = step, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    contents, team, _ = in_parts(film, tmp_path, 1)
    assert_same(contents, index_contents(film, FakeEngine()))
    assert max(after - before for before, after in pairwise(team.progress)) > 20, "the part is taken"


def test_ticks_come_from_packets_only_where_these_tell(cuts: Path, tmp_path: Path) -> None:
    log = DecodeLog()
    list(read_frames(probe(cuts), log))
    places: list[int] = []
    assert frame_ticks(probe(cuts), places.append) == log.pts
    assert 0 < places[0] < places[-1] < cuts.stat().st_size
    assert places == sorted(places)
    for name, codec in (("bare.h264", "libx264"), ("old.avi", "mpeg4"), ("broadcast.ts", "libx264")):
        assert frame_ticks(probe(write_video(tmp_path / name, Recipe(frames=12, codec=codec)))) is None


def test_a_part_is_one_of_the_same_file(cuts: Path, tmp_path: Path) -> None:
    """Another node may have another one at its path, perhaps with the same times."""
    part = Part(100, None, frame_ticks(probe(cuts))[:1].tobytes())  # type: ignore[index]  # this video has times
    job = PartJob(cuts, cuts.stat().st_size - 1, part, tmp_path / "part", Config())
    with pytest.raises(VideoError, match="is another file here"):
        run_part(job, FakeEngine())


def test_what_dead_processes_left_on_the_disk_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows faces."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch.scratch_folder() as alive:
        left = alive.parent / f"{folders.WRITING}1-00000000"
        left.mkdir()
        list(LocalRunner(FakeEngine).run([]))
        assert alive.exists()
        assert not left.exists()


class Workers:
    """A batch of two workers that are no processes: what they say is in their pipes when the batch begins."""

    def __init__(self, jobs: Sequence[Job | PartJob], said: Sequence[Sequence[Any]]) -> None:
        self.batch = local._Batch([], nothing_arrives, FakeEngine, 2)
        self.ends = []
        for job, messages in zip(jobs, said, strict=True):
            ours, theirs = Pipe()
            for message in messages:
                theirs.send(message)
            self.ends.append(theirs)
            self.batch._workers.append(local._Worker(self.process(), ours, math.inf, job))

    @staticmethod
    def process() -> Any:
        """One that has ended."""
        return SimpleNamespace(
            kill=lambda: None, join=lambda seconds: None, is_alive=lambda: False, exitcode=0
        )

    def heard(self, number: int) -> list[Any]:
        """What was sent to one of them."""
        heard = []
        while self.ends[number].poll():
            try:
                heard.append(self.ends[number].recv())
            except EOFError:
                break
        return heard


def test_who_reads_a_part_of_a_video_that_has_just_ended_is_let_go(tmp_path: Path) -> None:
    """Whatever it had said before."""
    job = Job(tmp_path / "film.mp4", tmp_path / "s", Config())
    part = PartJob(tmp_path / "film.mp4", 1, Part(100, None, b""), tmp_path / "part", Config())
    end = BeingIndexed(job.video)
    workers = Workers([job, part], [[end], [Progress(job.video, "indexing", 5, 100)]])
    assert list(workers.batch.events()) == [end]


def test_nobody_waits_for_parts_where_no_worker_starts(tmp_path: Path) -> None:
    job = Job(tmp_path / "film.mp4", tmp_path / "s", Config())
    part = PartJob(tmp_path / "film.mp4", 1, Part(100, None, b""), tmp_path / "part", Config())
    end = BeingIndexed(job.video)
    workers = Workers([job], [[local._IdleQuestion(), local._Offer((part,)), end]])
    workers.batch._failed_starts, workers.batch._start_error = local.START_ATTEMPTS, EngineError("no memory")
    events: list[Event] = list(workers.batch.events())
    assert events == [end]
    assert workers.heard(0) == [local._Idle(0), PartRead(100, "no worker for it starts: no memory")]


def test_a_video_outlives_a_worker_that_hangs_at_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are silent for as long: one because it waits for the other."""
    monkeypatch.setattr(local, "STALL_SECONDS", 0.01)
    monkeypatch.setattr(local, "wait", lambda connections, timeout: wait(connections, 0.02))
    job = Job(tmp_path / "film.mp4", tmp_path / "s", Config())
    part = PartJob(tmp_path / "film.mp4", 1, Part(100, None, b""), tmp_path / "part", Config())
    end = BeingIndexed(job.video)
    workers = Workers([job, part], [[local._NeedsPart(1)], [Progress(job.video, "indexing", 5, 100)]])

    reader: Any = workers.batch._workers[1].process
    reader.kill, reader.join = workers.ends[1].close, lambda seconds: workers.ends[0].send(end)
    assert list(workers.batch.events())[-1] == end
    (read,) = workers.heard(0)
    assert (read.start, read.failure[:50]) == (100, f"{job.video}: no progress for 0 s"[:50])


def test_a_video_outlives_a_node_that_reads_a_part_of_it_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own node is not silent meanwhile, so that nobody takes it for dead."""
    monkeypatch.setattr(local, "STALL_SECONDS", 0.0)
    monkeypatch.setattr(local, "_POLL_SECONDS", 0.01)
    ours, theirs = Pipe()
    worker = local._Worker(Workers.process(), ours, 0.0)
    monkeypatch.setattr(local, "_spawn", lambda load: worker)
    for said in (local._Ready(), local._NeedsPart(1)):
        theirs.send(said)
    answers = iter([*[[]] * 5, [PartRead(100)]])
    end = Failed(tmp_path / "film.mp4", VideoError("no film"))

    def events() -> list[PartRead]:
        answer = next(answers)
        if answer:
            theirs.send(end)
        return answer

    pool: Any = SimpleNamespace(events=events)
    job = ScratchJob(tmp_path / "film.mp4", "", tmp_path / "s", Config())
    happened = list(local.ReusedWorker(FakeEngine).run(job, pool))
    assert isinstance(happened[-1], Failed)
    assert [type(event) for event in happened[:-1]] == [Progress] * 4
    assert not worker.stalled


def test_who_reads_a_part_on_another_machine_is_given_up_when_silent(tmp_path: Path) -> None:
    part = PartJob(tmp_path / "film.mp4", 1, Part(100, None, b""), tmp_path / "part", Config())
    now = time.monotonic()
    begun = {
        seconds: nodes._Attempt(part, 1, now - seconds, began=True).fault()
        for seconds in (nodes.BEGIN_SECONDS + 1, nodes.SILENT_SECONDS + 1)
    }
    assert [bool(fault) for fault in begun.values()] == [False, True]
    assert nodes._Attempt(part, 1, now).fault() == ""
    assert (
        nodes._Attempt(part, 1, now - nodes.BEGIN_SECONDS - 1).fault() == "no node has room for it any more"
    )


class DiesOnce(FakeEngine):
    """Kills its process at the first cyan face, once."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self._mark = mark

    def detect(self, image: Image) -> Faces:
        faces = super().detect(image)
        hues = [image[int(y0) + 2, int(x0) + 2] for x0, y0, _, _ in faces.boxes.tolist()]
        if any(b > 150 and g > 150 for b, g, _ in hues) and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return faces


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IndexContents]:
    """Four minutes, so that parts are as long as they are without these tests; and what one pass finds."""

    def pictures() -> Iterator[Image]:
        for frame in range(490):
            shot = frame // 18
            picture = backdrop((160, 90), seed=shot, shade=80 if shot % 2 else 180)
            person = ("red", "green", "cyan")[shot % 3 if frame > 290 else shot % 2]
            draw_face(picture, person, (30, 20, 40, 40))
            yield picture

    film = write_film(tmp_path_factory.mktemp("long") / "film.mp4", pictures(), fps=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_SECONDS", 60.0)
        return film, index_contents(film, FakeEngine())


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed by a signal")
def test_an_idle_worker_reads_a_part_and_another_one_if_it_dies(
    long_film: tuple[Path, IndexContents], tmp_path: Path
) -> None:
    """Real processes: the progress of both adds up."""
    film, whole = long_film
    job = Job(film, tmp_path / "s", Config(), split_longer_than=200)
    events = list(LocalRunner(partial(DiesOnce, tmp_path / "mark"), 2).run([job]))
    assert (tmp_path / "mark").exists()
    done = events[-1]
    assert isinstance(done, Indexed), done
    assert not [event for event in events if isinstance(event, Note)]
    frames = [e.done for e in events if isinstance(e, Progress) and e.stage == "indexing"]
    assert frames == sorted(frames)
    assert_same(read_contents(done.folder), whole)


@dataclass
class OtherNode:
    """A PartPool that reads each part here, as a node of a cluster does, as soon as it is handed over."""

    load: Callable[[], FakeEngine]
    parts: list[PartJob] = field(default_factory=list)
    messages: list[PartRead | PartProgress] = field(default_factory=list)

    def idle(self) -> int:
        return 1

    def submit(self, job: PartJob) -> None:
        self.parts.append(job)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node, "_worker", None)  # that of this machine waits
            for message in part_here(job, self.load):
                if isinstance(message, PartData):
                    with open(message.target(job.file), "ab") as file:
                        file.write(message.data)
                else:
                    self.messages.append(message)
            assert node._worker is not None
            node._worker[1].close()

    def events(self) -> list[PartRead | PartProgress]:
        messages, self.messages = self.messages, []
        return messages

    def close(self) -> None:
        pass


def test_a_node_reads_a_part_for_another(long_film: tuple[Path, IndexContents], tmp_path: Path) -> None:
    film, whole = long_film
    pool = OtherNode(FakeEngine)
    job = Job(film, tmp_path / "s", Config(), split_longer_than=200)
    messages = list(index_here(job, FakeEngine, frozenset(), None, pool))
    (part,) = pool.parts
    frames = [event.done for event in messages if isinstance(event, Progress) and event.stage == "indexing"]
    assert frames == sorted(frames)
    assert not [event for event in messages if isinstance(event, Note | Failed)]
    incoming = IncomingIndex(job.store)
    with closing(incoming):
        for message in messages:
            if isinstance(message, IndexData):
                incoming.add(message.data)
        assert isinstance(messages[-1], Complete)
        video = incoming.video(messages[-1].sha256, hash_file(film), FakeEngine().info)
        folder = incoming.install(video, str(film.resolve()), video.mtime_ns)
    assert_same(read_contents(folder), whole)
    assert not part.file.exists()
    node._worker[1].close()  # type: ignore[index]  # it has a worker by now
