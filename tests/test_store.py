"""Index round trips, atomic writing, permissions, damage: on real SQLite files."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import folders, index_writer, schema, vectors
from store.crops import decode_crop, encode_crop
from store.database import DATABASE
from store.digest import hash_file
from store.errors import (
    DamagedIndexError,
    InputError,
    NewerIndexError,
    OptionError,
    UnwritableError,
)
from store.records import IndexContents
from store.video_index import VideoIndex, write_index
from tests.factories import CROP, make_contents, make_video


def assert_holds(index: VideoIndex, contents: IndexContents) -> None:
    """Every record comes back as it was written, crops as JPEG keeps them."""
    assert index.video == contents.video
    assert index.engine == contents.engine
    assert index.stats == contents.stats
    assert index.config == contents.config
    assert {k: type(v) for k, v in index.config.items()} == {k: type(v) for k, v in contents.config.items()}
    assert index.shots() == contents.shots
    assert index.people() == contents.people
    assert index.tracklets() == contents.tracklets
    np.testing.assert_array_equal(index.times().pts, contents.times.pts)
    np.testing.assert_array_equal(index.times().durations, contents.times.durations)
    sightings = index.sightings(contents.sightings)
    for number, expected in contents.sightings.items():
        for field in ("frames", "boxes", "scores", "sources"):
            found = getattr(sightings[number], field)
            np.testing.assert_array_equal(found, getattr(expected, field))
            assert found.dtype == getattr(expected, field).dtype
    assert_looks(index, contents)


def assert_looks(index: VideoIndex, contents: IndexContents) -> None:
    exemplars = index.exemplars()
    assert exemplars.keys() == contents.exemplars.keys()
    for number, expected in contents.exemplars.items():
        for found, wanted in zip(exemplars[number], expected, strict=True):
            for field in ("frame", "score", "quality", "sharpness", "frontality"):
                assert getattr(found, field) == getattr(wanted, field)
            for field in ("box", "landmarks", "embedding"):
                np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field))
            assert np.abs(found.crop.astype(int) - wanted.crop).mean() < 2
    looks = index.looks()
    every = [(n, e) for n in sorted(contents.exemplars) for e in contents.exemplars[n]]
    assert looks.tracklets.tolist() == [n for n, _ in every]
    assert looks.frames.tolist() == [e.frame for _, e in every]
    assert looks.widths.tolist() == [e.box[2] for _, e in every]
    assert looks.embeddings.shape == (len(every), contents.engine.dim)


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
        assert rows.execute("SELECT sum(tracklets) FROM person_times").fetchone() == (3,)
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
        if path.name.startswith(folders.WRITING):
            raise error
        return rename(path, target)

    if late == "write":
        monkeypatch.setattr(vectors, "write", fail)
    elif late == "sync":
        monkeypatch.setattr(index_writer, "sync", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail_when_renamed_in)
    with pytest.raises((UnwritableError, KeyboardInterrupt)):
        write_index(tmp_path, make_contents(seed=2))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [folder]
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
        assert len(index.vectors()) == len(index.looks())
    with VideoIndex(folder) as index:
        assert_holds(index, new)
        hits, _ = index.vectors().nearest(index.looks().embeddings, 1)
        np.testing.assert_allclose(hits[:, 0], 1, atol=1e-5)


def read_all(folder: Path) -> None:
    with VideoIndex(folder) as index:
        index.times(), index.shots(), index.people(), index.exemplars(), index.looks()
        index.exemplar_numbers(), index.vectors()
        index.sightings(t.number for t in index.tracklets())


def is_said_damaged(folder: Path) -> bool:
    message = ""
    try:
        read_all(folder)
    except DamagedIndexError as error:
        message = str(error)
    if message:
        assert "index.db is damaged" in message
        assert "run: python cli.py index --force" in message
        assert message.isprintable()
    return bool(message)


def test_damage_anywhere_is_named_with_its_remedy(tmp_path: Path) -> None:
    """Zeros, noise and truncation over the whole file: either all is read, or it is said to be damaged."""
    folder = write_index(tmp_path, make_contents())
    path = folder / DATABASE
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    said = 0
    for offset in range(0, len(whole), len(whole) // 60):
        noise = rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
        for damaged in (
            whole[:offset],
            whole[:offset] + bytes(200) + whole[offset + 200 :],
            whole[:offset] + noise + whole[offset + 200 :],
        ):
            path.write_bytes(damaged[: len(whole)])
            # A changed number may pass, or a version so changed be newer; only errors of ours may come.
            with suppress(NewerIndexError, OptionError):
                said += is_said_damaged(folder)
    assert said > 60
    path.unlink()
    with pytest.raises(DamagedIndexError, match="No such file"):
        read_all(folder)


def test_rows_that_are_missing_or_wrong_are_damage(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    whole = (folder / DATABASE).read_bytes()
    for harm in (
        "DELETE FROM video",
        "DELETE FROM engine",
        "DROP TABLE stats",
        "DELETE FROM sightings WHERE frame = (SELECT max(frame) FROM sightings)",
        "DELETE FROM frames WHERE frame = 7",
        "DELETE FROM exemplars WHERE exemplar = 1",
        "UPDATE sightings SET source = 'guessed'",
        "UPDATE tracklets SET end_reason = 'bored'",
        "UPDATE video SET time_base_denominator = 0",
        "UPDATE video SET frame_rate = 'fast'",
        "UPDATE video SET sha256 = 'xyz'",
        "UPDATE video SET warnings = '{'",
        "UPDATE config SET value = x'00'",
        "UPDATE exemplars SET embedding = zeroblob(64)",
        "UPDATE exemplars SET embedding = zeroblob(63)",
        "UPDATE exemplars SET crop = x'ffd8'",
        "UPDATE exemplars SET landmarks = '[1]'",
        "UPDATE tracklets SET score = 'high'",
        "UPDATE vectors SET sha256 = ''",
    ):
        (folder / DATABASE).write_bytes(whole)
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as rows:
            rows.execute(harm)
        with pytest.raises(DamagedIndexError):
            read_all(folder)


def test_newer_version_and_foreign_file(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        rows.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerIndexError, match="schema 99"):
        VideoIndex(folder)
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        rows.execute("PRAGMA user_version = 0")
    with pytest.raises(DamagedIndexError, match="holds no index"):
        VideoIndex(folder)


def test_older_version_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = make_contents()
    folder = write_index(tmp_path, contents)
    later = (*schema.MIGRATIONS, lambda db: db.execute("CREATE TABLE later (word TEXT)"))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    with VideoIndex(folder) as index:
        assert_holds(index, contents)
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        assert schema.version(rows) == len(later)
        assert rows.execute("SELECT * FROM later").fetchall() == []


@pytest.mark.parametrize("harm", ["missing", "empty", "torn", "flipped", "foreign", "stale"])
def test_unusable_vectors_are_rebuilt_and_said_once(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    import faiss

    folder = write_index(tmp_path, make_contents(seed=1))
    path = folder / vectors.VECTORS
    whole = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "foreign":
        faiss.write_index(faiss.IndexFlatIP(16), str(path))
    elif harm == "stale":
        other = write_index(tmp_path / "other", make_contents(seed=2))
        path.write_bytes((other / vectors.VECTORS).read_bytes())
    else:
        flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
        path.write_bytes({"empty": b"", "torn": whole[:-100], "flipped": flipped}[harm])
    with VideoIndex(folder) as index:
        looks, numbers = index.looks(), index.exemplar_numbers()
        for _ in range(2):
            similarities, found = index.vectors().nearest(looks.embeddings, 3)
            assert found[:, 0].tolist() == numbers.tolist()
            np.testing.assert_allclose(similarities[:, 0], 1, atol=1e-5)
    assert path.read_bytes() == whole
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_vectors_are_exact_and_plain_faiss(tmp_path: Path) -> None:
    import faiss

    folder = write_index(tmp_path, make_contents(tracklets=20, looks=5))
    with VideoIndex(folder) as index:
        embeddings, numbers, found = index.looks().embeddings, index.exemplar_numbers(), index.vectors()
    similarities = embeddings @ embeddings.T
    bar = float(similarities[3, 7])
    rows, hits, above = found.above(embeddings[:5], bar)
    wanted = {(r, int(numbers[c])) for r, c in np.argwhere(similarities[:5] >= bar + 1e-6)}
    assert wanted <= set(zip(rows.tolist(), hits.tolist(), strict=True))
    assert (above >= bar - 1e-6).all()
    assert found.nearest(embeddings[:2], 1000)[1].shape == (2, 100)
    assert faiss.read_index(str(folder / vectors.VECTORS)).ntotal == 100


def test_no_looks_at_all(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path, make_contents(looks=0))) as index:
        query = np.ones((2, 16), np.float32)
        assert index.vectors().nearest(query, 5)[1].shape == (2, 0)
        assert len(index.vectors().above(query, 0.1)[0]) == 0
        assert len(index.looks()) == 0


def test_hash_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc" * 1_000_000)
    assert hash_file(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(InputError, match="No such file"):
        hash_file(tmp_path / "none.mp4")


@pytest.mark.parametrize("place", [4, 8, 41, 45, 74])
def test_a_crafted_vectors_faiss_is_not_given_to_faiss(tmp_path: Path, place: int) -> None:
    """It believes the lengths that it reads; checksums say nothing of who made them."""
    folder = write_index(tmp_path, make_contents())
    path = folder / vectors.VECTORS
    data = path.read_bytes()
    payload, trailer = bytearray(data[: -vectors.TRAILER_BYTES]), data[-vectors.TRAILER_BYTES :]
    payload[place : place + 4] = b"\xff\xff\xff\x3f"
    path.write_bytes(bytes(payload) + trailer[:-64] + hashlib.sha256(payload).digest() + trailer[-32:])
    with pytest.raises(vectors.UnusableVectors, match=r"elsewhere|not of this version"):
        vectors.read(folder, trailer[-32:].hex())


def test_a_look_that_claims_to_be_huge_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = bytearray(encode_crop(CROP))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = (9000).to_bytes(2, "big") * 2
    monkeypatch.setattr(cv2, "imdecode", lambda *args: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match="no picture of the right size"):
        decode_crop(bytes(jpeg))
