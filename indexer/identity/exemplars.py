"""A tracklet's exemplars: its few best crops, spread over its time, with their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.face_crops import align_faces
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.quality import crop_quality, exemplar_quality, sharpness
from facereel.indexer.track.track import Candidate
from facereel.store.index.crops import encode_crop
from facereel.store.model import pooling
from facereel.store.model.records import Embeddings, Exemplar, Floats, Image

# A crop below this share of the best one's quality adds more noise than information.
_MIN_QUALITY_SHARE = 0.3
# Face confidence that one exemplar of a tracklet must have. Below are flowers, fists, backs of heads, and faces in the
# dark that nobody could recognise.
_MIN_FACE_CONFIDENCE = 0.14


@dataclass(frozen=True, slots=True, eq=False)
class AlignedCandidate:
    """A candidate with its aligned face, and what makes it a good or a poor exemplar."""

    candidate: Candidate
    image: Image  # (112, 112, 3)
    landmarks: Floats  # (5, 2) pixels of the picture
    face_probability: float  # 0..1
    sharpness: float  # 0..1
    frontality: float  # 0..1

    @property
    def quality(self) -> float:
        """Quality of the crop before it is embedded, 0..1."""
        crop = self.candidate.crop
        return crop_quality(float(crop.box[2]), self.sharpness, self.frontality, self.candidate.score)


def choose(candidates: Sequence[Candidate], count: int, engine: FaceEngine) -> list[AlignedCandidate]:
    """The best crop of each of `count` equal parts of the candidates' time, poor ones left out; best first."""
    if not candidates:
        return []
    aligned = align_candidates(candidates, engine)
    qualities = [one.quality for one in aligned]
    first, span = candidates[0].frame, candidates[-1].frame - candidates[0].frame + 1
    best: dict[int, int] = {}  # position of a candidate by part
    for position in sorted(range(len(candidates)), key=lambda position: qualities[position]):
        best[(candidates[position].frame - first) * count // span] = position
    minimum = _MIN_QUALITY_SHARE * max(qualities[position] for position in best.values())
    chosen = [best[part] for part in sorted(best) if qualities[best[part]] >= minimum]
    return [aligned[position] for position in sorted(chosen, key=lambda position: -qualities[position])]


def align_candidates(candidates: Sequence[Candidate], engine: FaceEngine) -> list[AlignedCandidate]:
    """Each candidate with its aligned face."""
    faces = align_faces([candidate.crop for candidate in candidates], engine)
    return [
        AlignedCandidate(candidate, image, points, probability, sharpness(image), frontality(points))
        for candidate, image, points, probability in zip(
            candidates, faces.images, faces.landmarks, faces.face_probabilities.tolist(), strict=True
        )
    ]


def embed_candidates(candidates: Sequence[Candidate], engine: FaceEngine) -> Floats:
    """Embeddings (N, D) of one or more candidates as they are, without choosing among them."""
    faces = align_faces([candidate.crop for candidate in candidates], engine)
    return engine.embed(faces.images, mirrored=False).vectors


def mean_similarity(vectors: Floats) -> float:
    """Mean similarity of the pairs of two or more embeddings (N, D)."""
    return float((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].mean())


def embed(chosen: Sequence[AlignedCandidate], engine: FaceEngine) -> tuple[Exemplar, ...]:
    """Exemplars of chosen crops, best first, in order of time; none when the recogniser sees no face in them."""
    if not chosen:
        return ()
    # The two best crops show whether there is a face at all. Most patterns and hands are rejected at that cost.
    embedded = [_embed(chosen[:2], engine)]
    if float(embedded[0].face_confidences.max()) < _MIN_FACE_CONFIDENCE:
        return ()
    if len(chosen) > 2:
        embedded.append(_embed(chosen[2:], engine))
    vectors = np.concatenate([part.vectors for part in embedded])
    face_confidences = np.concatenate([part.face_confidences for part in embedded]).tolist()
    exemplars = map(_exemplar, chosen, vectors, face_confidences)
    return tuple(sorted(exemplars, key=lambda exemplar: exemplar.frame))


def pool(exemplars: tuple[Exemplar, ...]) -> Floats:
    """The pooled embedding (D,), unit length, of one or more exemplars, weighted by their qualities."""
    return pooling.pool(*embeddings_and_qualities(exemplars))


def embeddings_and_qualities(exemplars: tuple[Exemplar, ...]) -> tuple[Floats, Floats]:
    """Embeddings (N, D) and qualities (N,) of one or more exemplars."""
    qualities = np.array([exemplar.quality for exemplar in exemplars], np.float32)
    return np.stack([exemplar.embedding for exemplar in exemplars]), qualities


def _embed(chosen: Sequence[AlignedCandidate], engine: FaceEngine) -> Embeddings:
    return engine.embed(np.stack([one.image for one in chosen]), mirrored=False)


def _exemplar(chosen: AlignedCandidate, vector: Floats, face_confidence: float) -> Exemplar:
    candidate, crop = chosen.candidate, chosen.candidate.crop
    return Exemplar(
        frame=candidate.frame, box=crop.box, landmarks=chosen.landmarks, score=candidate.score,
        quality=exemplar_quality(chosen.quality, face_confidence),
        sharpness=chosen.sharpness, frontality=chosen.frontality,
        jpeg=encode_crop(crop.image), embedding=vector, region=crop.region,
        face_probability=chosen.face_probability,
    )  # fmt: skip
