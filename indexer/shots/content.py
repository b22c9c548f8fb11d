"""Frames whose change stands out from the changes around it: the AdaptiveDetector of PySceneDetect 0.7.

Written again for thumbnails, with the same numbers: to import that package takes longer than to index a short video,
and its pass over a picture three times as long as all else that is done with a thumbnail.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from facereel.store.model.records import Image

# Mean of the change of hue, saturation and value that a cut has at least: half of PySceneDetect's usual content value,
# as cuts between similar pictures fall to 8.
MIN_CONTENT = 7.0
ADAPTIVE_RATIO = 2.5  # of a cut's change, to the mean of those beside it
_NO_CHANGE = 1e-5  # mean of the changes beside it below which there is no ratio


class ContentChanges:
    """Takes thumbnails one by one and finds changes that stand out."""

    def __init__(self, beside: int) -> None:
        """`beside`: frames on either side with which a change is compared."""
        self._beside = beside
        self._before: Image | None = None  # hue, saturation and value of the last thumbnail
        self._changes: deque[float] = deque(maxlen=2 * beside + 1)

    def push(self, thumbnail: Image) -> bool:
        """Take the next thumbnail, BGR; does the change to the frame `beside` frames before it stand out?"""
        colours = np.asarray(cv2.cvtColor(thumbnail, cv2.COLOR_BGR2HSV), np.uint8)
        before = colours if self._before is None else self._before
        self._changes.append(cv2.norm(colours, before, cv2.NORM_L1) / colours.size)
        self._before = colours
        if len(self._changes) <= 2 * self._beside:
            return False
        change = self._changes[self._beside]
        others = (sum(self._changes) - change) / (2 * self._beside)
        return change >= MIN_CONTENT and (others < _NO_CHANGE or change >= ADAPTIVE_RATIO * others)
