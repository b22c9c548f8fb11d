"""A tracklet's exemplars: its few best crops, spread over its time, with their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.identity.quality import crop_quality, exemplar_quality
from facereel.indexer.identity.recogniser import MIN_NCC_ALIKE, AlignedCandidate, TrackRecogniser
from facereel.indexer.timing import frames_in
from facereel.indexer.track.track import Candidate, Track
from facereel.store.index.crops import encode_crop
from facereel.store.model import pooling
from facereel.store.model.records import Exemplar, Floats
from facereel.store.model.views import pooled_probability, shows_face

# A crop below this share of the best one's worth adds more noise than information.
_MIN_WORTH_SHARE = 0.3
# Face confidence that one exemplar of a tracklet must have. Below are flowers, fists, backs of heads, and faces in the
# dark that nobody could recognise.
_MIN_FACE_CONFIDENCE = 0.14
# Of what has a pooled face probability like this a third crop is asked where two have less confidence than that: a head
# that turns. Without it a tracklet of 93 frames of a sitcom is lost.
_SURE_PROBABILITY = 0.7
# By how much more a crop counts that is embedded already: it costs nothing.
_EMBEDDED_LEAD = 2.0
# Of the crops of one track those are most like the rest which the detector is surest of; the sharpest are not: noise
# and edges across a face are sharp too. Of 292 tracks of 12 films the two best by quality are as similar to the mean of
# the others as any two, the two best by score, alone or with the others, by 0.03 more. With the face
# probability itself, not its root, clusters of a sitcom held an object in two of seven trials rather than in none.
_SCORE_POWER, _FACE_PROBABILITY_POWER = 4, 0.5
# Two crops suffice if they are as similar as this, else it takes a third. With a third of all candidates left out in
# nine ways, nine people of a sitcom and of dancers are as similar to their photos as with up to six, and clusters of
# the sitcom's wide shots have a B-cubed recall of 0.91 rather than 0.88. With two only, two people were mixed up in one
# of three trials.
_MIN_SIMILARITY, _MOST = 0.6, 3
# Those that are as similar as this show one pose. Of a small or blurred face, whose mean quality before it is embedded
# is less than the other value, the crop that looks least like them is taken too: one of 24 px, tracked for 20 frames,
# has a similarity of 0.45 to its photo with a third crop and of 0.39 without. Its crops are also embedded where they
# look alike: one of them alone is too little evidence for a match.
_ONE_POSE, _SUFFICIENT_QUALITY = 0.9, 0.3
# A track longer than this, seconds, has an exemplar at either end, unless both look alike: the tracker does not
# notice each change of person.
_LONG_SECONDS = 3.0
# Where crops are less similar than this, all are needed to tell whether one of them shows another
# face: of the crops of two people of one film half are.
_MIN_ACROSS_CHANGE = 0.2


def choose_exemplars(track: Track, count: int, recogniser: TrackRecogniser) -> tuple[Exemplar, ...]:
    """At most `count` exemplars in order of time, as few as tell who it is; none where no face is to be seen."""
    candidates = track.candidates
    if not candidates:
        return ()
    places = _spread(candidates, [_expected_quality(one) for one in candidates], count, recogniser)
    aligned = recogniser.align([candidates[place] for place in places])
    width = float(np.median([one.crop.box[2] for one in candidates]))
    probabilities = [one.face_probability for one in aligned]
    if not shows_face(width, probabilities):
        return ()
    worths = [_worth(one) for one in aligned]
    good = [n for n, worth in enumerate(worths) if worth >= _MIN_WORTH_SHARE * max(worths)]
    places = _spread([aligned[n].candidate for n in good], [worths[n] for n in good], count, recogniser)
    ordered = [aligned[good[place]] for place in places]
    needed = _of_each_stretch(track, ordered)
    ordered.sort(key=lambda one: one not in needed)
    first = ordered[: max(2, len(needed))]
    chosen = _distinct(first, recogniser)
    # Those that look like a chosen one come last.
    others = [*ordered[len(first) :], *(one for one in first if one not in chosen)]
    # They show whether there is a face at all. Most patterns and hands are rejected at that cost; of what the landmark
    # model takes for a face another crop is asked, for it may turn to the camera there.
    embedded = recogniser.embed([one.candidate for one in chosen])
    if (
        float(embedded.face_confidences.max()) < _MIN_FACE_CONFIDENCE
        and pooled_probability(probabilities) >= _SURE_PROBABILITY
    ):
        chosen += others[: max(0, _MOST - len(chosen))]
        others = [one for one in others if one not in chosen]
        embedded = recogniser.embed([one.candidate for one in chosen])
    if float(embedded.face_confidences.max()) < _MIN_FACE_CONFIDENCE:
        return ()
    lowest = float((embedded.vectors @ embedded.vectors.T).min()) / recogniser.scale
    if lowest < _MIN_ACROSS_CHANGE:
        chosen += others
    elif lowest < _MIN_SIMILARITY:
        chosen += others[: max(0, _MOST - len(chosen))]
    elif lowest >= _ONE_POSE and fmean(one.quality for one in chosen) < _SUFFICIENT_QUALITY:
        chosen += sorted(others, key=lambda one: _highest_ncc(one, chosen))[:1]
    embedded = recogniser.embed([one.candidate for one in chosen])
    exemplars = map(_exemplar, chosen, embedded.vectors, embedded.face_confidences.tolist())
    return tuple(sorted(exemplars, key=lambda exemplar: exemplar.frame))


def _distinct(aligned: Sequence[AlignedCandidate], recogniser: TrackRecogniser) -> list[AlignedCandidate]:
    """Those that do not look like a better one of good quality; what is embedded already costs nothing."""
    distinct: list[AlignedCandidate] = []
    for one in sorted(aligned, key=lambda one: (not recogniser.has_embedded(one.candidate), -_worth(one))):
        good = [other for other in distinct if other.quality >= _SUFFICIENT_QUALITY]
        if recogniser.has_embedded(one.candidate) or _highest_ncc(one, good) < MIN_NCC_ALIKE:
            distinct.append(one)
    return distinct


def _highest_ncc(one: AlignedCandidate, others: Sequence[AlignedCandidate]) -> float:
    """Its NCC with the one that it looks most like, -1..1."""
    return max(map(one.ncc, others), default=-1.0)


def _of_each_stretch(track: Track, ordered: Sequence[AlignedCandidate]) -> list[AlignedCandidate]:
    """The first crop of each stretch that may show another person: between changes, either end of a long track."""
    start, end = track.frames[0], track.frames[-1] + 1
    changes = [change.frame for change in track.changes]
    stretches = list(pairwise([start, *changes, end])) if changes else []
    if end - start > frames_in(_LONG_SECONDS, track.video.frame_rate):
        third = (end - start) // 3
        stretches += [(start, start + third), (end - third, end)]
    firsts = (next((one for one in ordered if a <= one.candidate.frame < b), None) for a, b in stretches)
    return list(dict.fromkeys(one for one in firsts if one is not None))


def _expected_quality(candidate: Candidate) -> float:
    """Quality of a crop by what is known before it is aligned, 0..1."""
    crop = candidate.crop
    return crop_quality(float(crop.box[2]), 1.0, frontality(crop.landmarks), candidate.score)


def _worth(aligned: AlignedCandidate) -> float:
    """How much a crop is worth beside others of its track, 0..1: where it is large, frontal and surely a face."""
    candidate = aligned.candidate
    quality = crop_quality(float(candidate.crop.box[2]), 1.0, aligned.frontality, 1.0)
    return float(quality * candidate.score**_SCORE_POWER * aligned.face_probability**_FACE_PROBABILITY_POWER)


def _spread(
    candidates: Sequence[Candidate], worths: Sequence[float], count: int, recogniser: TrackRecogniser
) -> list[int]:
    """Positions of at most `count` good ones in different parts of the time: the best, then what is far from those."""
    frames = np.array([one.frame for one in candidates])
    known = np.array([recogniser.has_embedded(one) for one in candidates])
    worth = np.array(worths) * np.where(known, _EMBEDDED_LEAD, 1.0) + 1e-9
    distance = np.full(len(frames), (np.ptp(frames) + 1) / count)  # further away counts for no more
    chosen: list[int] = []
    for _ in range(min(count, len(frames))):
        chosen.append(int((worth * distance).argmax()))
        distance = np.minimum(distance, np.abs(frames - frames[chosen[-1]]))
    return chosen


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
