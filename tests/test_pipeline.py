"""Pass one from a file to its index: shots, faces, people, and that all of it fits together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facereel.indexer.engines.face_crops import aligned_face
from facereel.indexer.engines.registry import load_engine
from facereel.indexer.jobs import job
from facereel.indexer.jobs.events import Indexed, Job
from facereel.indexer.jobs.job import run_job
from facereel.indexer.media.video import probe
from facereel.indexer.pipeline import index_video
from facereel.store.files.digest import hash_file
from facereel.store.files.locks import video_lock
from facereel.store.index import rewrite
from facereel.store.index.crops import decode_crop
from facereel.store.index.reader import VideoIndex
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineMismatchError, VideoError
from facereel.store.model.records import Image
from tests.factories import IndexContents, index_contents
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film
from tests.video_factory import Recipe, write_video


def quiet(done: int, expected: int) -> None:
    assert 0 < done <= expected


def story(path: Path) -> Path:
    """Two shots of 40 frames: red, hidden in frames 18 to 21; then green and red, who has moved."""

    def pictures() -> Iterator[Image]:
        for frame in range(40):
            picture = backdrop(seed=1, shade=80)
            draw_face(picture, "red", (40 + 2 * frame, 50, 60, 60))
            if 18 <= frame < 22:
                picture[40:120, 60:160] = 140
            yield picture
        for frame in range(40):
            picture = backdrop(seed=2, shade=190)
            draw_face(picture, "green", (40 + frame, 60, 50, 50))
            draw_face(picture, "red", (200, 40 + frame, 60, 60))
            yield picture

    return write_film(path, pictures(), sound=True)


def look_at(path: Path) -> IndexContents:
    return index_contents(path, FakeEngine())


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> IndexContents:
    path = story(tmp_path_factory.mktemp("story") / "story.mp4")
    return look_at(path)


def test_tells_the_story(contents: IndexContents) -> None:
    assert [(shot.start, shot.end) for shot in contents.shots] == [(0, 40), (40, 80)]
    assert [(t.shot, t.start, t.end, t.start_reason, t.end_reason) for t in contents.tracklets] == [
        (0, 0, 18, "video_start", "occlusion"),
        (0, 22, 40, "occlusion", "scene_cut"),
        (1, 40, 80, "scene_cut", "video_end"),
        (1, 40, 80, "scene_cut", "video_end"),
    ]
    # Red is seen longest and comes first; the order of the two who start together is by place.
    assert [t.cluster for t in contents.tracklets] == [1, 1, 2, 1]
    assert [(person.number, person.name, person.tracklets) for person in contents.clusters] == [
        (1, None, (1, 2, 4)), (2, None, (3,)),
    ]  # fmt: skip


def test_people_are_numbered_by_how_long_they_are_seen(tmp_path: Path) -> None:
    def pictures() -> Iterator[Image]:
        for frame, person in enumerate(["green"] * 12 + ["red"] * 30):
            picture = backdrop(seed=1 if person == "green" else 2)
            draw_face(picture, person, (60 + frame, 50, 60, 60))
            yield picture

    contents = look_at(write_film(tmp_path / "a.mp4", pictures()))
    assert [t.cluster for t in contents.tracklets] == [2, 1]


def test_says_where_each_face_is(contents: IndexContents) -> None:
    for number, place in ((1, (40, 50)), (2, (40, 50)), (3, (0, 60)), (4, (200, 0))):
        sightings = contents.sightings[number]
        for frame, box in zip(sightings.frames, sightings.boxes, strict=True):
            x = {1: 40 + 2 * frame, 2: 40 + 2 * frame, 3: frame, 4: 200}[number]
            y = {1: 50, 2: 50, 3: 60, 4: frame}[number]
            side = 50 if number == 3 else 60
            assert box == pytest.approx([x, y, side, side], abs=4), (number, frame, place)


def test_all_parts_fit_together(contents: IndexContents) -> None:
    frames = contents.video.frame_count
    edges = [shot.start for shot in contents.shots] + [contents.shots[-1].end]
    assert (edges[0], edges[-1]) == (0, frames)
    assert all(one.end == other.start for one, other in pairwise(contents.shots))
    assert len(contents.times.pts) == len(contents.times.durations) == frames == 80
    assert [t.number for t in contents.tracklets] == list(range(1, len(contents.tracklets) + 1))
    assert set(contents.sightings) == set(contents.exemplars) == {t.number for t in contents.tracklets}
    for tracklet in contents.tracklets:
        shot = contents.shots[tracklet.shot]
        assert shot.start <= tracklet.start < tracklet.end <= shot.end
        sightings = contents.sightings[tracklet.number]
        assert sightings.frames.tolist() == list(range(tracklet.start, tracklet.end))
        assert tracklet.face_width == pytest.approx(np.median(sightings.boxes[:, 2]), abs=0.06)
        looks = contents.exemplars[tracklet.number]
        assert 1 <= len(looks) <= Config().exemplars
        for look in looks:
            assert tracklet.start <= look.frame < tracklet.end
            assert decode_crop(look.jpeg).shape[0] == decode_crop(look.jpeg).shape[1] >= look.box[2:].max()
            assert aligned_face(look).shape == (112, 112, 3)
            assert look.embedding.shape == (FakeEngine().info.dim,)
            assert 0 < look.quality <= 1
    members = [number for person in contents.clusters for number in person.tracklets]
    assert sorted(members) == [t.number for t in contents.tracklets]
    for one, other in combinations(contents.tracklets, 2):
        if one.cluster == other.cluster:
            assert one.end <= other.start or other.end <= one.start, "nobody is in one frame twice"


def test_says_what_it_did(contents: IndexContents) -> None:
    assert contents.engine == FakeEngine().info
    assert contents.config["min_face"] == Config().min_face
    assert 8 <= contents.stats.searched <= 30, "of 80 frames"
    assert contents.stats.faces == sum(len(s) for s in contents.sightings.values())
    assert contents.stats.seconds > 0
    assert contents.video.has_audio
    assert contents.video.warnings == ()


def test_looking_again_gives_the_same(tmp_path: Path) -> None:
    path = story(tmp_path / "story.mp4")
    one, other = (look_at(path) for _ in range(2))
    assert (one.video, one.shots, one.tracklets, one.clusters) == (
        other.video, other.shots, other.tracklets, other.clusters,
    )  # fmt: skip
    for number, sightings in one.sightings.items():
        np.testing.assert_array_equal(sightings.boxes, other.sightings[number].boxes)
        for look, again in zip(one.exemplars[number], other.exemplars[number], strict=True):
            np.testing.assert_array_equal(look.embedding, again.embedding)


def test_what_is_stored_is_what_was_seen(tmp_path: Path) -> None:
    path = story(tmp_path / "story.mp4")
    folder = index_video(probe(path), hash_file(path), tmp_path / "store", FakeEngine(), Config(), quiet)
    contents = look_at(path)
    assert folder.parent == tmp_path / "store"
    with VideoIndex(folder) as index:
        assert index.video == contents.video
        assert tuple(index.tracklets()) == contents.tracklets


def test_a_video_without_a_face_has_an_index_without_tracklets(tmp_path: Path) -> None:
    path = write_film(tmp_path / "empty.mp4", (backdrop(seed=3) for _ in range(20)))
    contents = look_at(path)
    assert contents.tracklets == ()
    assert contents.clusters == ()
    assert [(shot.start, shot.end) for shot in contents.shots] == [(0, 20)]


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", Recipe(frames=1, b_frames=0))
    contents = look_at(path)
    assert [(shot.start, shot.end) for shot in contents.shots] == [(0, 1)]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n" * 40)
    with pytest.raises(VideoError):
        run_job(Job(tmp_path / "text.mp4", tmp_path / "store", Config()), FakeEngine())
    assert not (tmp_path / "store").exists()


def test_what_was_lost_is_kept_with_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mkv", Recipe(frames=60, gop=10))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    contents = look_at(path)
    [warning] = contents.video.warnings
    assert f"ends early, after {contents.video.frame_count} frames" in warning


def test_a_video_that_another_process_indexes_just_before_the_lock_is_not_indexed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Job(story(tmp_path / "story.mp4"), tmp_path / "store", Config())
    first: list[Indexed] = []

    @contextmanager
    def late(*args: Any) -> Iterator[None]:
        monkeypatch.setattr(job, "video_lock", video_lock)
        first.append(run_job(run, FakeEngine()))
        with video_lock(*args):
            yield

    monkeypatch.setattr(job, "video_lock", late)
    second = run_job(run, FakeEngine())
    assert (first[0].skipped, second.folder) == ("", first[0].folder)
    assert second.skipped.startswith("indexed already")


def test_two_copies_of_a_video_that_is_gone_do_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers find them at once, and each notes its own as the new place."""
    path, store = story(tmp_path / "story.mp4"), tmp_path / "store"
    folder = run_job(Job(path, store, Config()), FakeEngine()).folder
    copies = [Path(shutil.copy(path, tmp_path / name)) for name in ("one.mp4", "two.mp4")]
    path.unlink()
    rewritten = rewrite._rewrite

    def other_first(*args: Any) -> None:
        monkeypatch.setattr(rewrite, "_rewrite", rewritten)
        run_job(Job(copies[0], store, Config()), FakeEngine())
        rewritten(*args)

    monkeypatch.setattr(rewrite, "_rewrite", other_first)
    second = run_job(Job(copies[1], store, Config()), FakeEngine())
    assert second.folder == folder
    assert second.skipped.startswith("indexed already")
    with VideoIndex(folder) as index:
        assert index.video.path == str(copies[0])


def test_a_remedy_names_the_store(tmp_path: Path) -> None:
    path, store = story(tmp_path / "story.mp4"), tmp_path / "my store"
    run_job(Job(path, store, Config()), FakeEngine())
    with pytest.raises(EngineMismatchError, match=r"--store '.*my store' --engine fake"):
        run_job(Job(path, store, Config()), load_engine("fake-other"))


def test_the_place_of_a_video_that_is_gone_cannot_be_noted(tmp_path: Path) -> None:
    path, store = story(tmp_path / "story.mp4"), tmp_path / "store"
    folder = run_job(Job(path, store, Config()), FakeEngine()).folder
    with pytest.raises(VideoError, match="cannot be read any more"):
        rewrite.record_place(folder, tmp_path / "gone.mp4")
