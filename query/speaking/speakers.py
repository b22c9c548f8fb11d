"""Which of a person's matches speak: those in which mouth and sound agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from facereel.query.clips.cutter import decode_clips
from facereel.query.clips.mp4 import Colours
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.clips.resample import Plane
from facereel.query.clips.sound import read_mono
from facereel.query.records import ClipPlan
from facereel.query.search.search import MatchKey, PersonMatches, key_of
from facereel.query.speaking import mfcc, mouths
from facereel.query.speaking.model import STEPS, SpeakerModel
from facereel.store.model.errors import CutError, VideoError
from facereel.store.model.records import Floats, Grey, Ints, Video

LEAST_SHARE = (
    0.5  # of a clip's frames in which mouth and sound agree, so that it is one of somebody who speaks
)


def speaking(answer: PersonMatches, model: SpeakerModel) -> PersonMatches:
    """The answer, in which only matches are cut that speak, with the scores of their frames.

    In a video without sound nobody speaks. Of a video that is gone, changed or cannot be decoded nothing is known: its
    matches stay, and cutting says why it cannot. Raises OptionError for a model that does not fit.
    """
    clips, _ = plan_clips(answer.matches, answer.times, ClipOptions(crop="none"))
    scores: dict[MatchKey, Floats] = {}
    unread: set[Video] = set()
    for video in dict.fromkeys(clip.match.video for clip in clips):
        own = [clip for clip in clips if clip.match.video == video]
        try:
            scores |= _scores(own, answer, model)
        except (VideoError, CutError):
            unread.add(video)
    matches = tuple(
        pair for pair in answer.matches if pair[0].video in unread or speaks(scores.get(key_of(*pair)))
    )
    silent = len(answer.matches) - len(matches)
    return replace(answer, matches=matches, speaking=scores, not_speaking=silent)


def speaks(scores: Floats | None) -> bool:
    """Whether scores (N,) of a clip's frames are those of somebody who speaks; None are of a video without sound."""
    return scores is not None and float(np.mean(scores > 0)) >= LEAST_SHARE


@dataclass(slots=True, eq=False)
class _Listener:
    """Collects the faces of a clip while it is decoded, and scores them with its sound at the end."""

    clip: ClipPlan
    model: SpeakerModel
    scores: dict[MatchKey, Floats]  # where they go, one for each frame of the clip
    frames: Ints = field(init=False)
    squares: Floats = field(init=False)
    faces: list[Grey] = field(init=False, default_factory=list)
    frame: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.frames = mouths.frames_at(self.clip)
        self.squares = mouths.squares(self.clip.sightings.boxes[self.frames])

    def write(self, planes: list[Plane]) -> None:
        """Take the next frame, which is shown at none, one or several of the even times."""
        while len(self.faces) < len(self.frames) and self.frames[len(self.faces)] == self.frame:
            square = self.squares[len(self.faces)]
            self.faces.append(mouths.mouth(planes, self.clip.match.video, square))
        self.frame += 1

    def finish(self) -> ClipPlan:
        """Score the frames; there is no score where the file has no sound after all."""
        clip, count = self.clip, len(self.faces)
        start = int(clip.ticks[0]) * clip.match.video.time_base
        # The last window of the sound is longer than a step.
        end = start + Fraction(count, mouths.RATE) + Fraction(mfcc.WINDOW - mfcc.STEP, mfcc.RATE)
        sound = read_mono(clip.match.video, start, end, mfcc.RATE)
        if sound is not None:
            scores = self.model.scores(mfcc.mfcc(sound)[: STEPS * count], np.stack(self.faces))
            self.scores[key_of(clip.match, clip.sightings)] = scores[mouths.pictures_at(clip)]
        return clip

    def discard(self) -> None:
        """Forget the faces."""
        self.faces.clear()


def _scores(clips: Sequence[ClipPlan], answer: PersonMatches, model: SpeakerModel) -> dict[MatchKey, Floats]:
    """The scores of the frames of a video's clips; none of a video without sound. Raises VideoError, CutError."""
    video, scores = clips[0].match.video, dict[MatchKey, Floats]()
    if video.has_audio:

        def begin(clip: ClipPlan, colours: Colours) -> _Listener:
            return _Listener(clip, model, scores)

        decode_clips(video, clips, answer.times[video.sha256], begin)
    return scores
