"""vectors.faiss is exact, plain FAISS, and derived: what is not as it should be is rebuilt from the rows."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facereel.store.index import vectors
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.model.records import Floats
from tests.factories import make_contents, write_index


def rewrite(path: Path, payload: bytes) -> None:
    """Put other FAISS bytes into a vectors.faiss, under a digest that fits."""
    source = path.read_bytes()[-32:]
    path.write_bytes(payload + vectors.MAGIC + hashlib.sha256(payload).digest() + source)


def exact(index: VideoIndex, queries: Floats) -> Floats:
    return queries @ index.pooled().embeddings.T


@pytest.mark.parametrize("harm", ["missing", "empty", "torn", "flipped", "foreign", "stale"])
def test_unusable_vectors_are_rebuilt_and_said_once(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    import faiss

    folder = write_index(tmp_path, make_contents(seed=1))
    path = folder / vectors.VECTORS
    before = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "foreign":
        faiss.write_index(faiss.IndexFlatIP(16), str(path))
    elif harm == "stale":
        other = write_index(tmp_path / "other", make_contents(seed=2))
        path.write_bytes((other / vectors.VECTORS).read_bytes())
    else:
        flipped = before[:200] + bytes([before[200] ^ 1]) + before[201:]
        path.write_bytes({"empty": b"", "torn": before[:-100], "flipped": flipped}[harm])
    with VideoIndex(folder) as index:
        pooled = index.pooled()
        for _ in range(2):
            found = index.vectors().similarities(pooled.embeddings, pooled.tracklets)
            np.testing.assert_allclose(found, exact(index, pooled.embeddings), atol=1e-5)
    assert path.read_bytes() == before
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_vectors_are_exact_and_plain_faiss_with_tracklet_numbers(tmp_path: Path) -> None:
    import faiss

    folder = write_index(tmp_path, make_contents(tracklets=20, looks=5))
    with VideoIndex(folder) as index:
        pooled = index.pooled()
        queries = index.exemplar_arrays().embeddings[:7]
        found = index.vectors().similarities(queries, pooled.tracklets)
        np.testing.assert_allclose(found, exact(index, queries), atol=1e-6)
        numbers = [tracklet.number for tracklet in index.tracklets()]
    plain = faiss.read_index(str(folder / vectors.VECTORS))
    assert plain.search(pooled.embeddings, 1)[1][:, 0].tolist() == numbers


def test_a_copied_folder_keeps_its_vectors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_index(tmp_path / "a", make_contents())
    copy = Path(shutil.copytree(folder, tmp_path / "b" / folder.name))
    with VideoIndex(copy) as index:
        assert len(index.vectors()) == 3
    assert not caplog.records


def test_changed_rows_make_vectors_stale(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also rows other than embeddings: qualities are weights of the pooled embedding."""
    folder = write_index(tmp_path, make_contents())
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("UPDATE exemplars SET quality = 1 - quality")
        db.commit()
    with VideoIndex(folder) as index:
        pooled = index.pooled()
        found = index.vectors().similarities(pooled.embeddings, pooled.tracklets)
        np.testing.assert_allclose(found, exact(index, pooled.embeddings), atol=1e-6)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_no_exemplars_at_all(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path, make_contents(looks=0))) as index:
        queries = np.ones((2, 16), np.float32)
        assert index.vectors().similarities(queries, index.pooled().tracklets).shape == (2, 0)
        assert len(index.best_exemplars()) == 0


@pytest.mark.parametrize("place", [4, 8, 41, 45, 74])
def test_a_crafted_vectors_faiss_is_not_given_to_faiss(tmp_path: Path, place: int) -> None:
    """FAISS believes the lengths that it reads; checksums say nothing of who made them."""
    folder = write_index(tmp_path, make_contents())
    path = folder / vectors.VECTORS
    data = path.read_bytes()
    payload = bytearray(data[: -vectors.TRAILER_BYTES])
    payload[place : place + 4] = b"\xff\xff\xff\x3f"
    rewrite(path, bytes(payload))
    with pytest.raises(vectors.UnusableVectors, match=r"elsewhere|not of this version"):
        vectors.read(folder, np.arange(1, 4), 16, data[-32:])


@pytest.mark.parametrize("harm", ["other tracklets", "other length", "not a number"])
def test_vectors_that_do_not_fit_the_index_are_not_used(tmp_path: Path, harm: str) -> None:
    folder = write_index(tmp_path, make_contents())
    with VideoIndex(folder) as index:
        pooled = index.pooled()
    embeddings, numbers = pooled.embeddings.copy(), pooled.tracklets
    if harm == "other tracklets":
        numbers = numbers + 1
    elif harm == "other length":
        embeddings = embeddings[:, :-1]
    else:
        embeddings[0, 0] = np.nan
    crafted = folder / vectors.VECTORS
    source = crafted.read_bytes()[-32:]
    vectors.write(folder, vectors.build(numbers, embeddings), source)
    with pytest.raises(vectors.UnusableVectors, match="not of these tracklets"):
        vectors.read(folder, pooled.tracklets, 16, source)
    with VideoIndex(folder) as index:
        found = index.vectors().similarities(pooled.embeddings, pooled.tracklets)
        np.testing.assert_allclose(found, exact(index, pooled.embeddings), atol=1e-6)


def test_vectors_of_an_old_index_are_not_written_into_the_new_one(tmp_path: Path) -> None:
    """A reader that opened the index before forget replaced it must not bring forgotten vectors back."""
    folder = write_index(tmp_path, make_contents(seed=1))
    with VideoIndex(folder) as old:
        theirs = old.pooled().embeddings
        write_index(tmp_path, make_contents(seed=2))
        (folder / vectors.VECTORS).unlink()
        assert len(old.vectors()) == 3
    assert not (folder / vectors.VECTORS).exists()
    with VideoIndex(folder) as new:
        new.vectors()
    assert not any(row.tobytes() in (folder / vectors.VECTORS).read_bytes() for row in theirs)
