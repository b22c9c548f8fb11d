"""Vectors are exact, plain FAISS, and derived: what is not as it should be is rebuilt from the rows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from facereel.store.index import vectors
from facereel.store.index.reader import VideoIndex
from tests.factories import make_contents, write_index


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
        looks, numbers = index.exemplar_arrays(), index.exemplar_numbers()
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
        embeddings, numbers, found = (
            index.exemplar_arrays().embeddings,
            index.exemplar_numbers(),
            index.vectors(),
        )
    similarities = embeddings @ embeddings.T
    threshold = float(similarities[3, 7])
    rows, hits, above = found.above(embeddings[:5], threshold)
    wanted = {(r, int(numbers[c])) for r, c in np.argwhere(similarities[:5] >= threshold + 1e-6)}
    assert wanted <= set(zip(rows.tolist(), hits.tolist(), strict=True))
    assert (above >= threshold - 1e-6).all()
    assert found.nearest(embeddings[:2], 1000)[1].shape == (2, 100)
    assert faiss.read_index(str(folder / vectors.VECTORS)).ntotal == 100


def test_no_looks_at_all(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path, make_contents(looks=0))) as index:
        query = np.ones((2, 16), np.float32)
        assert index.vectors().nearest(query, 5)[1].shape == (2, 0)
        assert len(index.vectors().above(query, 0.1)[0]) == 0
        assert len(index.exemplar_arrays()) == 0


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
