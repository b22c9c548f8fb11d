"""What an engine says of the crops of one track: each is aligned and embedded once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.face_crops import align_faces
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.quality import crop_quality, sharpness
from facereel.indexer.track.track import Candidate
from facereel.store.model.records import Embeddings, Floats, Image

# NCC from which on the embedding of one crop tells what that of the other would. In 14 films: of pairs of crops of
# one track that reach it, 99% have a similarity above 0.55, half above 0.88; of 269,000 pairs of two faces that are in
# one frame, with their light and colours in common, 4 in 100,000 reach 0.92 and none this.
MIN_NCC_ALIKE = 0.94
_SIDE = 28  # of the pictures that are compared, pixels


@dataclass(frozen=True, eq=False)
class AlignedCandidate:
    """A candidate with its aligned face, and what makes it a good or a poor exemplar."""

    candidate: Candidate
    image: Image  # (112, 112, 3)
    landmarks: Floats  # (5, 2) pixels of the picture
    face_probability: float  # 0..1
    frontality: float  # 0..1

    @cached_property
    def sharpness(self) -> float:
        """Sharpness of the aligned face, 0..1."""
        return sharpness(self.image)

    def ncc(self, other: AlignedCandidate) -> float:
        """NCC of the colours of two aligned faces without their surroundings, -1..1; see MIN_NCC_ALIKE."""
        return float(self._row @ other._row)

    @cached_property
    def _row(self) -> Floats:
        """Colours of the face with mean 0 and length 1, in one row: the product of two is their NCC."""
        small = cv2.resize(self.image[14:104, 17:95], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        row = small.ravel().astype(np.float32)
        row -= row.mean()
        return np.asarray(row / max(float(np.linalg.norm(row)), 1e-6), np.float32)

    @property
    def quality(self) -> float:
        """Quality of the crop before it is embedded, 0..1."""
        crop = self.candidate.crop
        return crop_quality(float(crop.box[2]), self.sharpness, self.frontality, self.candidate.score)


class TrackRecogniser:
    """Aligns and embeds candidates of one track and of its parts; not for several threads."""

    def __init__(self, engine: FaceEngine) -> None:
        self.scale = engine.threshold.scale
        self._engine = engine
        self._aligned: dict[int, AlignedCandidate] = {}  # by frame, as below
        self._embedded: dict[int, tuple[Floats, float]] = {}  # vectors and face confidences

    def align(self, candidates: Sequence[Candidate]) -> list[AlignedCandidate]:
        """Each candidate with its aligned face."""
        new = [one for one in candidates if one.frame not in self._aligned]
        faces = align_faces([one.crop for one in new], self._engine)
        self._aligned |= {
            one.frame: AlignedCandidate(one, image, points, probability, frontality(points))
            for one, image, points, probability in zip(
                new, faces.images, faces.landmarks, faces.face_probabilities.tolist(), strict=True
            )
        }
        return [self._aligned[one.frame] for one in candidates]

    def embed(self, candidates: Sequence[Candidate]) -> Embeddings:
        """Embeddings of one or more candidates as they are, without choosing among them."""
        new = [one for one in candidates if not self.has_embedded(one)]
        if new:
            images = np.stack([one.image for one in self.align(new)])
            embedded = self._engine.embed(images, mirrored=False)
            self._embedded |= {
                one.frame: (vector, face_confidence)
                for one, vector, face_confidence in zip(
                    new, embedded.vectors, embedded.face_confidences.tolist(), strict=True
                )
            }
        vectors, face_confidences = zip(*(self._embedded[one.frame] for one in candidates), strict=True)
        return Embeddings(np.stack(vectors), np.array(face_confidences, np.float32))

    def has_embedded(self, candidate: Candidate) -> bool:
        """Is the embedding of this candidate known already?"""
        return candidate.frame in self._embedded
