"""The FAISS side of an index: exact search over its exemplars' embeddings.

vectors.faiss is derived from the rows of index.db and never trusted: after FAISS's own bytes (which
`faiss.read_index` reads as they are) stand a digest of those bytes and one of the rows they were made from.
FAISS is only given bytes that are whole, because it does not promise to survive others.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facereel.store.files.folders import atomic_file
from facereel.store.model.records import Floats, Ints

if TYPE_CHECKING:
    import faiss

VECTORS = "vectors.faiss"
MAGIC = b"FRv1"
_HEADERS = 2 * 37 + 2 * 8  # bytes of a serialised index beside its vectors and their numbers
TRAILER_BYTES = len(MAGIC) + 2 * hashlib.sha256().digest_size


class UnusableVectors(Exception):
    """vectors.faiss is missing, torn, foreign or stale; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Embeddings that can be searched; a hit names the exemplar by its number in index.db."""

    index: faiss.IndexIDMap

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def nearest(self, queries: Floats, count: int) -> tuple[Floats, Ints]:
        """The `count` most similar exemplars of each query, best first, fewer when there are fewer.

        queries: (Q, D) unit length. Returns cosine similarities (Q, k) and exemplar numbers (Q, k).
        """
        count = min(count, len(self))
        if count == 0 or len(queries) == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        return self.index.search(_packed(queries), count)

    def above(self, queries: Floats, threshold: float) -> tuple[Ints, Ints, Floats]:
        """All exemplars at least as similar as `threshold`, grouped by query, in no order within one.

        queries: (Q, D) unit length. Returns query rows, exemplar numbers and cosine similarities, (H,) each.
        """
        if len(queries) == 0 or len(self) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        # FAISS returns what lies strictly above.
        below = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
        limits, similarities, exemplars = self.index.range_search(_packed(queries), below)
        rows = np.repeat(np.arange(len(queries), dtype=np.int64), np.diff(limits.astype(np.int64)))
        return rows, exemplars, similarities


def rows_digest(exemplars: Ints, embeddings: Floats) -> str:
    """SHA-256 of exemplar numbers (M,) and their embeddings (M, D), hex."""
    digest = hashlib.sha256(np.asarray(embeddings.shape, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(exemplars, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(embeddings, dtype="<f4").tobytes())
    return digest.hexdigest()


def build(exemplars: Ints, embeddings: Floats) -> Vectors:
    """Exact inner-product search over (M, D) embeddings under their exemplar numbers (M,)."""
    import faiss

    index = faiss.IndexIDMap(faiss.IndexFlatIP(embeddings.shape[1]))
    if len(exemplars):
        index.add_with_ids(_packed(embeddings), np.ascontiguousarray(exemplars, dtype=np.int64))
    return Vectors(index)


def write(folder: Path, vectors: Vectors, digest: str) -> None:
    """Write vectors.faiss (0600) whole or not at all; `digest` is `rows_digest` of its rows.

    The caller holds the folder's lock.
    """
    import faiss

    payload = faiss.serialize_index(vectors.index).tobytes()
    trailer = MAGIC + hashlib.sha256(payload).digest() + bytes.fromhex(digest)
    with atomic_file(folder / VECTORS) as unfinished:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(payload + trailer)


def read(folder: Path, digest: str) -> Vectors:
    """The vectors of a folder if they are whole and were made from the rows with that digest.

    Raises UnusableVectors otherwise.
    """
    import faiss

    try:
        data = (folder / VECTORS).read_bytes()
    except OSError as error:
        raise UnusableVectors(error.strerror) from error
    payload, trailer = data[:-TRAILER_BYTES], data[-TRAILER_BYTES:]
    if trailer[: -2 * 32] != MAGIC or hashlib.sha256(payload).digest() != trailer[len(MAGIC) : -32]:
        raise UnusableVectors("torn or from elsewhere")
    if trailer[-32:].hex() != digest:
        raise UnusableVectors("not made from these rows")
    _check_layout(payload)
    try:
        index = faiss.deserialize_index(np.frombuffer(payload, dtype=np.uint8))
    except RuntimeError as error:  # another version's format
        raise UnusableVectors("not readable by this version of FAISS") from error
    if not isinstance(index, faiss.IndexIDMap):
        raise UnusableVectors("from elsewhere")
    numbers, flat = faiss.vector_to_array(index.id_map), faiss.downcast_index(index.index)
    if rows_digest(numbers, flat.reconstruct_n(0, flat.ntotal)) != digest:
        raise UnusableVectors("not of these rows")
    return Vectors(index)


def _check_layout(payload: bytes) -> None:
    """Raise UnusableVectors unless the bytes are those of an index as `build` makes it, but for its numbers.

    FAISS believes the lengths that stand in a file, and writes where they lead it.
    """
    import faiss

    dim, count = (int.from_bytes(payload[start:end], "little") for start, end in ((4, 8), (8, 16)))
    if len(payload) < _HEADERS or len(payload) != _HEADERS + count * (4 * dim + 8):
        raise UnusableVectors("from elsewhere")
    floats, numbers = _HEADERS - 8, _HEADERS + 4 * dim * count
    same = build(
        np.frombuffer(payload, "<i8", count, numbers),
        np.frombuffer(payload, "<f4", count * dim, floats).reshape(count, dim),
    )
    if faiss.serialize_index(same.index).tobytes() != payload:
        raise UnusableVectors("not of this version of FAISS")


def _packed(embeddings: Floats) -> Floats:
    return np.ascontiguousarray(embeddings, dtype=np.float32)
