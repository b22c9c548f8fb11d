"""A tracklet's exemplars: its few best crops, spread over its time, with their embeddings."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.identity.quality import crop_quality, exemplar_quality
from facereel.indexer.identity.recogniser import AlignedCandidate, TrackRecogniser
from facereel.indexer.timing import frames_in
from facereel.indexer.track.track import Candidate, Track
from facereel.store.index.crops import encode_crop
from facereel.store.model import pooling
from facereel.store.model.records import Exemplar, Floats
from facereel.store.model.views import shows_face

# A crop below this share of the best one's quality adds more noise than information.
_MIN_QUALITY_SHARE = 0.3
# Face confidence that one exemplar of a tracklet must have. Below are flowers, fists, backs of heads, and faces in the
# dark that nobody could recognise.
_MIN_FACE_CONFIDENCE = 0.14
# By how much more a crop counts that is embedded already: one nearly as good costs nothing.
_EMBEDDED_LEAD = 1.25
# Three crops of different times tell nearly as much as six: of ten people of six films, the similarity of their photos
# to their best tracklet is on average 0.030 lower with two, 0.011 with three, 0.002 with four. Two that are as similar
# as this show one pose, of which a third tells nothing new.
_USUAL_COUNT, _SAME_POSE = 3, 0.8
# Small and blurred faces need more: four, unless their qualities, before they are embedded, come to this sum. Crops of
# such a face are alike because they are blurred, and one of 24 px is found by its photo with four and not with two.
_COUNT_OF_POOR, _SUFFICIENT_QUALITY = 4, 0.6
# Of a track longer than this, seconds, each third has an exemplar: the tracker does not notice each change of person.
# A shorter one cannot show two people for longer than a second each. Costs the sitcom 219 crops rather than 211.
_LONG_SECONDS = 2.0
# Where crops of different thirds, or from before and after a change of the face, are less similar, all are needed to
# tell whether it is another one: of the crops of two people of one film half are.
_MIN_ACROSS_CHANGE = 0.2
# Crops that agree less call for more: reliability of their mean (Spearman-Brown, from their mean similarity). Down to
# 0.7 the clusters of a sitcom's wide shots have the B-cubed recall of six crops, 0.94; with at most three, 0.86.
_MIN_RELIABILITY = 0.7


def choose_exemplars(track: Track, count: int, recogniser: TrackRecogniser) -> tuple[Exemplar, ...]:
    """At most `count` exemplars in order of time, as few as tell who it is; none where no face is to be seen."""
    candidates = track.candidates
    if not candidates:
        return ()
    aligned = recogniser.align(
        _spread(candidates, list(map(_expected_quality, candidates)), count, recogniser)
    )
    width = float(np.median([one.crop.box[2] for one in candidates]))
    if not shows_face(width, [one.face_probability for one in aligned]):
        return ()
    best = max(one.quality for one in aligned)
    good = {one.candidate.frame: one for one in aligned if one.quality >= _MIN_QUALITY_SHARE * best}
    ordered = _spread(
        [one.candidate for one in good.values()], [one.quality for one in good.values()], count, recogniser
    )
    # Whether the face becomes another one is found only by a crop of each stretch.
    bounds = _bounds_of_stretches(track)
    firsts = {bisect_right(bounds, one.frame): one for one in reversed(ordered)}
    ordered.sort(key=lambda one: one not in firsts.values())
    chosen = ordered[: max(2, len(firsts))]
    # They show whether there is a face at all. Most patterns and hands are rejected at that cost.
    embedded = recogniser.embed(chosen)
    if float(embedded.face_confidences.max()) < _MIN_FACE_CONFIDENCE:
        return ()
    across = float((embedded.vectors @ embedded.vectors.T).min())
    if len(firsts) > 1 and across < recogniser.scale * _MIN_ACROSS_CHANGE:
        chosen = ordered
        embedded = recogniser.embed(chosen)
    while len(chosen) < len(ordered) and not (
        _suffices(embedded.vectors, recogniser.scale)
        and _clear_enough([good[one.frame].quality for one in chosen])
    ):
        chosen = ordered[: len(chosen) + 1]
        embedded = recogniser.embed(chosen)
    exemplars = map(
        _exemplar,
        (good[one.frame] for one in chosen),
        embedded.vectors,
        embedded.face_confidences.tolist(),
    )
    return tuple(sorted(exemplars, key=lambda exemplar: exemplar.frame))


def _bounds_of_stretches(track: Track) -> list[int]:
    """Frames, in order, at which the person may have become another one: changes of the face, bounds of thirds."""
    bounds = [change.frame for change in track.changes]
    start, count = track.frames[0], len(track.frames)
    if count > frames_in(_LONG_SECONDS, track.video.frame_rate):
        bounds += [start + count // 3, start + 2 * count // 3]
    return sorted(bounds)


def _expected_quality(candidate: Candidate) -> float:
    """Quality of a crop by what is known before it is aligned, 0..1."""
    crop = candidate.crop
    return crop_quality(float(crop.box[2]), 1.0, frontality(crop.landmarks), candidate.score)


def _spread(
    candidates: Sequence[Candidate], qualities: Sequence[float], count: int, recogniser: TrackRecogniser
) -> list[Candidate]:
    """At most `count` good candidates in different parts of the time: the best one, then what is far from those.

    Those that are embedded already come first among nearly as good ones.
    """
    frames = np.array([one.frame for one in candidates])
    known = np.array([recogniser.has_embedded(one) for one in candidates])
    worth = np.array(qualities) * np.where(known, _EMBEDDED_LEAD, 1.0) + 1e-9
    distance = np.full(len(frames), (np.ptp(frames) + 1) / count)  # further away counts for no more
    chosen: list[int] = []
    for _ in range(min(count, len(frames))):
        chosen.append(int((worth * distance).argmax()))
        distance = np.minimum(distance, np.abs(frames - frames[chosen[-1]]))
    return [candidates[place] for place in chosen]


def _suffices(vectors: Floats, scale: float) -> bool:
    """Would more crops than these two or more, embedded as (N, D), hardly change their mean?

    `scale` is that of the engine's similarities, see Threshold.scale.
    """
    count, similarity = len(vectors), pooling.mean_similarity(vectors) / scale
    if count < _USUAL_COUNT:
        return similarity >= _SAME_POSE
    return count * similarity >= _MIN_RELIABILITY * (1 + (count - 1) * similarity)


def _clear_enough(qualities: Sequence[float]) -> bool:
    """Are crops of these qualities clear enough, or as many as a small or blurred face needs?"""
    return len(qualities) >= _COUNT_OF_POOR or sum(qualities) >= _SUFFICIENT_QUALITY


def pool(exemplars: tuple[Exemplar, ...]) -> Floats:
    """The pooled embedding (D,), unit length, of one or more exemplars, weighted by their qualities."""
    return pooling.pool(*embeddings_and_qualities(exemplars))


def embeddings_and_qualities(exemplars: tuple[Exemplar, ...]) -> tuple[Floats, Floats]:
    """Embeddings (N, D) and qualities (N,) of one or more exemplars."""
    qualities = np.array([exemplar.quality for exemplar in exemplars], np.float32)
    return np.stack([exemplar.embedding for exemplar in exemplars]), qualities


def _exemplar(chosen: AlignedCandidate, vector: Floats, face_confidence: float) -> Exemplar:
    candidate, crop = chosen.candidate, chosen.candidate.crop
    return Exemplar(
        frame=candidate.frame, box=crop.box, landmarks=chosen.landmarks, score=candidate.score,
        quality=exemplar_quality(chosen.quality, face_confidence),
        sharpness=chosen.sharpness, frontality=chosen.frontality,
        jpeg=encode_crop(crop.image), embedding=vector, region=crop.region,
        face_probability=chosen.face_probability,
    )  # fmt: skip
