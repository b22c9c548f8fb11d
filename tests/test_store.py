"""Index round trips, atomic writing, permissions: on real SQLite files."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facereel.store.files import folders
from facereel.store.files.digest import hash_file
from facereel.store.index import vectors
from facereel.store.index.crops import decode_crop, encode_crop
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import (
    InputError,
    OptionError,
    UnwritableError,
)
from facereel.store.resume import unfinished
from facereel.store.resume.unfinished import UNFINISHED
from tests.factories import CROP, assert_holds, make_contents, make_video, write_index


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    shots=st.integers(1, 4),
    tracklets=st.integers(0, 4),
    looks=st.integers(0, 2),
    dim=st.sampled_from([1, 16, 512]),
    name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1),
    warnings=st.lists(st.text()),
)
def test_round_trip(
    tmp_path: Path,
    seed: int,
    shots: int,
    tracklets: int,
    looks: int,
    dim: int,
    name: str,
    warnings: list[str],
) -> None:
    video = replace(make_video(f"/videos/{name}", content=str(seed)), warnings=tuple(warnings))
    contents = make_contents(seed, video, shots, tracklets, looks, dim)
    with VideoIndex(write_index(tmp_path, contents)) as index:
        assert_holds(index, contents)


def test_only_asked_sightings_and_exemplars(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path, make_contents())) as index:
        assert list(index.sightings([2])) == [2]
        assert list(index.exemplars([3, 1])) == [3, 1]
        with pytest.raises(OptionError, match=r"tracklet 9 is not in movie\.mp4"):
            index.sightings([9])


def test_views_show_seconds_and_pixels(tmp_path: Path) -> None:
    contents = make_contents()
    folder = write_index(tmp_path, contents)
    first = contents.tracklets[0]
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        start, end = rows.execute("SELECT start_seconds, end_seconds FROM tracklet_times").fetchone()
        assert start == pytest.approx(contents.video.seconds(int(contents.times.pts[first.start])))
        assert end == pytest.approx(contents.video.seconds(contents.times.end_pts(first.end)))
        box = rows.execute("SELECT x, y, w, h FROM sighting_boxes WHERE tracklet = 1").fetchone()
        assert np.float32(box).tolist() == contents.sightings[1].boxes[0].tolist()
        assert rows.execute("SELECT count(*) FROM shot_times").fetchone() == (len(contents.shots),)
        assert rows.execute("SELECT sum(tracklets) FROM cluster_times").fetchone() == (3,)
        assert rows.execute("PRAGMA foreign_key_check").fetchall() == []


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    video = make_video("/videos/caf\udce9.mp4")
    with VideoIndex(write_index(tmp_path, make_contents(video=video))) as index:
        assert index.video == video
        assert index.folder.name.startswith("caf_.mp4-")


@pytest.mark.parametrize(
    "name",
    [
        "two words.mp4",
        "फ़िल्म.mkv",
        "a\nb.mp4",
        "..",
        "--force",
        ".hidden",
        "x" * 255,
        "映" * 85,
        "?",
        "con<>:|",
    ],
)
def test_odd_names_give_legal_folders(tmp_path: Path, name: str) -> None:
    folder = write_index(tmp_path / "a store %20?#", make_contents(video=make_video(f"/videos/{name}")))
    assert folder.parent == tmp_path / "a store %20?#"
    assert folder.name[0] not in "-."
    assert folder.name.isprintable()
    assert len(folder.name.encode()) <= 120
    assert folders.index_folders(folder.parent) == [folder]
    with VideoIndex(folder) as index:
        assert index.video.name == name


def test_created_for_the_owner_only(tmp_path: Path) -> None:
    folder = write_index(tmp_path / "deep" / "store", make_contents())
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()} == {
        "index.db": 0o600,
        "index.db.sha256": 0o600,
        "vectors.faiss": 0o600,
    }


def test_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for store in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(UnwritableError, match=r"file.* cannot be written: .*--store DIR"):
            write_index(store, make_contents())


@pytest.mark.parametrize("late", ["write", "sync", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_write_leaves_the_old_index_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str, error: BaseException
) -> None:
    old = make_contents(seed=1)
    folder = write_index(tmp_path, old)
    rename = Path.rename

    def fail(*_: object) -> None:
        raise error

    def fail_when_renamed_in(path: Path, target: Path) -> Path:
        if path.name.startswith(UNFINISHED):
            raise error
        return rename(path, target)

    if late == "write":
        monkeypatch.setattr(vectors, "write", fail)
    elif late == "sync":
        monkeypatch.setattr(unfinished, "sync", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail_when_renamed_in)
    with pytest.raises((UnwritableError, KeyboardInterrupt)):
        write_index(tmp_path, make_contents(seed=2))
    monkeypatch.undo()
    assert folders.index_folders(tmp_path) == [folder]
    # A complete index that could not get its name stays, and a later run moves it.
    others = {path.name for path in tmp_path.iterdir()} - {folder.name}
    assert all(name.startswith(UNFINISHED) for name in others)
    assert bool(others) == (late != "sync")
    with VideoIndex(folder) as index:
        assert_holds(index, old)


def test_contradictions_are_not_written(tmp_path: Path) -> None:
    contents = make_contents()
    gap = replace(contents.sightings[1], frames=contents.sightings[1].frames + 1)
    with pytest.raises(ValueError, match="tracklet 1 is not seen once"):
        write_index(tmp_path, replace(contents, sightings={**contents.sightings, 1: gap}))
    nan = replace(contents.sightings[1], boxes=contents.sightings[1].boxes * np.float32("nan"))
    with pytest.raises(ValueError, match="not finite"):
        write_index(tmp_path, replace(contents, sightings={**contents.sightings, 1: nan}))
    assert list(tmp_path.iterdir()) == []


def test_replaces_what_has_the_same_content(tmp_path: Path) -> None:
    write_index(tmp_path, make_contents(seed=1))
    write_index(tmp_path, make_contents(seed=2, video=make_video(content="another")))
    renamed = make_contents(seed=3, video=make_video("/videos/renamed.mp4"))
    folder = write_index(tmp_path, renamed)
    assert len(list(tmp_path.iterdir())) == 2
    with VideoIndex(folder) as index:
        assert_holds(index, renamed)


def test_reads_on_while_a_newer_one_is_written(tmp_path: Path) -> None:
    old, new = make_contents(seed=1), make_contents(seed=2)
    with VideoIndex(write_index(tmp_path, old)) as index:
        folder = write_index(tmp_path, new)
        assert_holds(index, old)
        assert len(index.vectors()) == len(old.tracklets)
    with VideoIndex(folder) as index:
        assert_holds(index, new)
        pooled = index.pooled()
        found = index.vectors().similarities(pooled.embeddings, pooled.tracklets)
        np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)


def test_hash_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc" * 1_000_000)
    assert hash_file(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(InputError, match="No such file"):
        hash_file(tmp_path / "none.mp4")


def test_a_look_that_claims_to_be_huge_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = bytearray(encode_crop(CROP))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = (9000).to_bytes(2, "big") * 2
    monkeypatch.setattr(cv2, "imdecode", lambda *args: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match="no picture of the right size"):
        decode_crop(bytes(jpeg))
