"""vectors.faiss: the tracklet embeddings of one video as a FAISS index that a query searches.

The file is derived from index.db and never trusted. FAISS's own bytes come first, so that `faiss.read_index` reads the
file as it is; behind them stand a digest of those bytes and one of the rows from which they were made. FAISS is
given only bytes whose layout was checked, because it believes every length that it reads.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facereel.store.files.disk import atomic_file
from facereel.store.model.records import Floats, Ints

if TYPE_CHECKING:
    import faiss

VECTORS = "vectors.faiss"
MAGIC = b"FRv2"  # FRv1 held exemplars
_HEADER_BYTES = 2 * 37 + 2 * 8  # of a serialised index, beside its vectors and their ids
_DIGEST_BYTES = hashlib.sha256().digest_size
TRAILER_BYTES = len(MAGIC) + 2 * _DIGEST_BYTES


class UnusableVectors(Exception):
    """vectors.faiss is missing, torn, foreign or stale; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """The tracklet embeddings of one video; FAISS's ids are tracklet numbers."""

    index: faiss.IndexIDMap

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def similarities(self, queries: Floats, tracklets: Ints) -> Floats:
        """Cosine similarity of queries (Q, D), unit length, and the tracklets of these numbers (T,), rising: (Q, T).

        The numbers must be those of all tracklets in the index.
        """
        result = np.zeros((len(queries), len(self)), np.float32)
        if result.size:
            similarities, ids = self.index.search(_contiguous(queries), len(self))
            np.put_along_axis(result, np.searchsorted(tracklets, ids), similarities, axis=1)
        return result

    def contents(self) -> tuple[Ints, Floats]:
        """Tracklet numbers (T,) and their embeddings (T, D)."""
        import faiss

        flat = faiss.downcast_index(self.index.index)
        return faiss.vector_to_array(self.index.id_map), flat.reconstruct_n(0, flat.ntotal)


def rows_digest(exemplars: Ints, embeddings: Floats) -> str:
    """SHA-256 of exemplar numbers (M,) and their embeddings (M, D), hex."""
    digest = hashlib.sha256(np.asarray(embeddings.shape, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(exemplars, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(embeddings, dtype="<f4").tobytes())
    return digest.hexdigest()


def source_digest(exemplars_digest: str, change_counter: int) -> bytes:
    """Identifies the rows from which vectors.faiss is made, also after the folder was copied.

    `exemplars_digest` is `rows_digest` of the exemplars, `change_counter` SQLite's when they were read.
    """
    return hashlib.sha256(f"{exemplars_digest} {change_counter}".encode()).digest()


def build(tracklets: Ints, embeddings: Floats) -> Vectors:
    """Exact inner-product search over (T, D) embeddings under their tracklet numbers (T,)."""
    import faiss

    index = faiss.IndexIDMap(faiss.IndexFlatIP(embeddings.shape[1]))
    if len(tracklets):
        index.add_with_ids(_contiguous(embeddings), np.ascontiguousarray(tracklets, dtype=np.int64))
    return Vectors(index)


def write(folder: Path, vectors: Vectors, source: bytes) -> None:
    """Write vectors.faiss (0600), whole or not at all; `source` is `source_digest` of its rows.

    The caller holds the folder's lock.
    """
    import faiss

    payload = faiss.serialize_index(vectors.index).tobytes()
    with atomic_file(folder / VECTORS) as unfinished:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(payload + MAGIC + hashlib.sha256(payload).digest() + source)


def read(folder: Path, tracklets: Ints, dim: int, source: bytes) -> Vectors:
    """The vectors of these tracklets (T,), numbers rising, if the file is whole and made from the rows of `source`.

    Raises UnusableVectors otherwise.
    """
    import faiss

    try:
        data = (folder / VECTORS).read_bytes()
    except OSError as error:
        raise UnusableVectors(error.strerror) from error
    payload, trailer = data[:-TRAILER_BYTES], data[-TRAILER_BYTES:]
    if trailer[:-_DIGEST_BYTES] != MAGIC + hashlib.sha256(payload).digest():
        raise UnusableVectors("torn or from elsewhere")
    if trailer[-_DIGEST_BYTES:] != source:
        raise UnusableVectors("not made from these rows")
    _check_layout(payload)
    try:
        index = faiss.deserialize_index(np.frombuffer(payload, dtype=np.uint8))
    except RuntimeError as error:  # another version's format
        raise UnusableVectors("not readable by this version of FAISS") from error
    if not isinstance(index, faiss.IndexIDMap):
        raise UnusableVectors("from elsewhere")
    numbers, embeddings = Vectors(index).contents()
    if (
        not np.array_equal(numbers, tracklets)
        or embeddings.shape[1] != dim
        or not np.isfinite(embeddings).all()
    ):
        raise UnusableVectors("not of these tracklets")
    return Vectors(index)


def _check_layout(payload: bytes) -> None:
    """Raise UnusableVectors unless the bytes are those of an index as `build` makes it, but for its numbers.

    FAISS believes the lengths that stand in a file, and writes where they lead it.
    """
    import faiss

    dim, count = (int.from_bytes(payload[start:end], "little") for start, end in ((4, 8), (8, 16)))
    if len(payload) < _HEADER_BYTES or len(payload) != _HEADER_BYTES + count * (4 * dim + 8):
        raise UnusableVectors("from elsewhere")
    floats, numbers = _HEADER_BYTES - 8, _HEADER_BYTES + 4 * dim * count
    same = build(
        np.frombuffer(payload, "<i8", count, numbers),
        np.frombuffer(payload, "<f4", count * dim, floats).reshape(count, dim),
    )
    if faiss.serialize_index(same.index).tobytes() != payload:
        raise UnusableVectors("not of this version of FAISS")


def _contiguous(embeddings: Floats) -> Floats:
    return np.ascontiguousarray(embeddings, dtype=np.float32)
