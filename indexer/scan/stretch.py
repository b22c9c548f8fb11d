"""Finds the faces of the frames between two that were searched whole, with as little of the detector as possible.

The work list of a stretch, from its first frame to its last:

1. In a long stretch where something moves somebody may come and go unseen: the frame in its middle is searched whole,
   and each half is a stretch of its own. So is a stretch in which so many faces are in doubt that their regions would
   cost as much as the whole.
2. A face of both ends is interpolated (path.py). Where patches do not confirm it, the region around its interpolated
   place is searched in the middle of the doubtful frames, and so on with what is left: one batch a round.
3. A face of one end only is followed to the other in regions around where it is expected, until it is lost.
4. Who turns up in these regions and is none of these faces is followed to both sides.

Faces that are clear nowhere are searched less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import cv2
import numpy as np

from facereel.indexer.media.frame import Frame
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.path import FACE_VALUES, Path, nearest, pairs
from facereel.indexer.scan.regions import REGION_PIXELS
from facereel.indexer.scan.search import FrameSearch, RegionPicture
from facereel.store.model.boxes import iou
from facereel.store.model.records import INTERPOLATED, Bools, Faces, Floats, Ints

_SAME_FACE = (
    0.5  # IoU of two boxes in one frame from which on they are of one face; those of neighbours reach 0.4
)
# A face that is not clear where it was found, but has this score, may be so a few frames later: it is followed until it
# is missed, and its doubtful frames are searched in so many rounds.
_MAYBE_CLEAR, _MAX_ROUNDS = 0.5, 2
_MAX_SHARE = 0.5  # of the whole picture that regions may have together; a pixel of them costs a little more
_STRIDE = 4  # frames of film from one search of a face that is followed to the next, while it is found
_MAX_MISSES = 5  # frames of film in which a face is not found until it is not followed any more
_VELOCITY_GAIN = 0.5  # share of the newest step in a velocity
# Somebody who comes and goes within a stretch changes at least one cell of this grid (columns, rows) by more grey
# levels than noise, changing light and a camera on a tripod do.
_CELLS, _MAX_CELL_CHANGE = (32, 18), 12.0

Place = int  # of a frame in a stretch, from 0


@dataclass(slots=True, eq=False)
class Stretch:
    """Consecutive frames, of which the first and the last were searched."""

    views: Sequence[FrameView]  # n of them
    # n - 2 of them, those between the first and the last; None where the small picture of the view is all that is left.
    frames: Sequence[Frame | None]
    search: FrameSearch
    check_every: int  # frames beyond which it is long: somebody may come and go unseen
    film_frame: int  # frames that last as long as one of a film
    _paths: list[Path] = field(default_factory=list)
    _pictures: dict[Place, RegionPicture] = field(default_factory=dict)  # from which regions are cut
    _strays: list[tuple[Place, Faces, int]] = field(default_factory=list)  # clear faces, maybe of no path

    def find_faces(self) -> None:
        """Give each view between the first and the last its faces."""
        first, last = 0, len(self.views) - 1
        weak, strong = self.search.config.weak_score, self._strong
        for a, b in pairs(self._faces(first), self._faces(last), weak, strong):
            self._begin(first, self._faces(first), a).add(last, self._faces(last), b, self.check_every)
        alone = {end: self._alone(end) for end in (first, last)}
        unpaired = len(alone[first]) + len(alone[last])
        paired = [path for path in self._paths if path.best_score >= _MAYBE_CLEAR]
        most = self.search.whole_pixels(self.views[0]) * _MAX_SHARE / REGION_PIXELS
        # How many are in doubt is found out only where there may be too many.
        if last > 1 and unpaired + len(paired) > most:
            doubtful = [path for path in paired if path.is_doubtful()]
            if unpaired + len(doubtful) > most:
                self._divide(self._near_middle())
                return
        for interpolated in self._paths:
            interpolated.compare()
        self._probe(self._paths)
        self._search_doubts(self._paths)
        self._follow([self._begin(first, self._faces(first), face) for face in alone[first]], 1)
        # Some of those at the end are now known.
        self._follow([self._begin(last, self._faces(last), face) for face in self._alone(last)], -1)
        if self._is_long and not _changes_gradually(self.views):
            self._look_for_others(last // 2)
        while self._strays:
            place, faces, face = self._strays.pop()
            if self._is_known(place, faces.boxes[face]):
                continue
            if path := self._path_at(place, faces.boxes[face]):
                path.add(place, faces, face, self.check_every)
                path.compare()
                self._search_doubts([path])
            else:
                path = self._begin(place, faces, face)
                self._follow([path], 1)
                self._follow([path], -1)
        for path in self._paths:
            if path.best_score >= strong > max(path.scores[first], path.scores[last]):
                self._want_crops(path)  # no searched frame shows the face clearly
        self._show()

    def _alone(self, end: Place) -> list[int]:
        """The faces of the first or last view that are of no path, and clear or nearly so."""
        taken = {path.face_of.get(end) for path in self._paths}
        return [
            face
            for face in np.flatnonzero(self._faces(end).scores >= _MAYBE_CLEAR).tolist()
            if face not in taken
        ]

    def _begin(self, place: Place, faces: Faces, face: int) -> Path:
        path = Path(self.views, place, faces, face)
        self._paths.append(path)
        return path

    def _probe(self, paths: Sequence[Path]) -> None:
        """Search regions in the middle for faces that are not clear at the ends, but nearly so."""
        middle = len(self.views) // 2
        self._detect([(path, middle) for path in paths if _MAYBE_CLEAR <= path.best_score < self._strong])

    def _search_doubts(self, paths: Sequence[Path]) -> None:
        """Search regions of the doubtful frames between detections, for clear faces until none is left."""
        rounds = 0
        while doubts := [
            (path, place)
            for path in paths
            if path.best_score >= (_MAYBE_CLEAR if rounds < _MAX_ROUNDS else self._strong)
            for place in path.doubts()
        ]:
            self._detect(doubts)
            rounds += 1

    def _detect(self, work: Sequence[tuple[Path, Place]]) -> None:
        """Search the region around the place where each face is interpolated."""
        answers = self._search([(place, path.boxes[place]) for path, place in work])
        for (path, place), faces in zip(work, answers, strict=True):
            face = self._nearest(place, faces, path.boxes[place])
            if face is None:
                path.missing[place] = True
            else:
                path.add(place, faces, face, self.check_every)
        for path, _ in work:
            path.compare()

    def _follow(self, paths: Sequence[Path], step: int) -> None:
        """Search each face, which is known at one place so far, in later frames (`step` 1) or earlier ones (-1)."""
        end = len(self.views) - 1 if step > 0 else 0
        runs = [_Run(path, step, end, self.film_frame) for path in paths]
        while runs:
            expected = [run.expected() for run in runs]
            answers = self._search([(run.target, box) for run, box in zip(runs, expected, strict=True)])
            for run, box, faces in zip(runs, expected, answers, strict=True):
                face = self._nearest(run.target, faces, box)
                if face is None or self._is_known(run.target, faces.boxes[face]):
                    run.miss()
                else:
                    run.path.add(run.target, faces, face, self.check_every)
                    run.path.compare()
                    run.advance()
            runs = [
                run for run in runs if not run.over and (run.found or run.path.best_score >= self._strong)
            ]
        self._search_doubts(paths)

    def _look_for_others(self, place: Place) -> None:
        """Note who is clear at a place and at neither end, if large enough to be found in half the size."""
        ends = [self._faces(end).boxes for end in (0, len(self.views) - 1)]
        expected = np.concatenate([*ends, *(path.boxes[place][None] for path in self._paths)])
        faces = self.search.half_size(self.frames[place - 1], self.views[place])
        others = [
            faces.boxes[face]
            for face in self._clear(faces)
            if not (iou(faces.boxes[face][None], expected) > _SAME_FACE).any()
        ]
        for found in self._search([(place, box) for box in others]):
            self._strays += [(place, found, face) for face in self._clear(found)]

    def _near_middle(self) -> Place:
        """The place nearest to the middle whose frame is there, so that crops can be taken of it."""
        middle = (len(self.views) - 1) // 2
        there = [place for place, frame in enumerate(self.frames, start=1) if frame is not None]
        return min(there, key=lambda place: abs(place - middle), default=middle)

    def _want_crops(self, path: Path) -> None:
        """Have crops taken where a path is clearest, if it can be of the frames that are there."""
        there = np.array([False, *(frame is not None for frame in self.frames), False]) & path.known
        places = there if there.any() else path.known
        self.views[int(np.where(places, path.scores, -1).argmax())].wants_crops = True

    def _divide(self, place: Place) -> None:
        """Search a frame whole, and the two parts of the stretch each for itself."""
        view = self.views[place]
        view.set_searched(self.search.whole(self.frames[place - 1], view))
        for part in (slice(0, place + 1), slice(place, len(self.views))):
            views, frames = self.views[part], self.frames[part.start : part.stop - 2]
            Stretch(views, frames, self.search, self.check_every, self.film_frame).find_faces()

    def _nearest(self, place: Place, faces: Faces, box: Floats) -> int | None:
        """The face of a frame that is expected at a box (4,), if it is there; other clear ones are noted."""
        expected = nearest(faces, box, self.search.config.weak_score)
        self._strays += [(place, faces, face) for face in self._clear(faces) if face != expected]
        return expected

    def _search(self, work: Sequence[tuple[Place, Floats]]) -> list[Faces]:
        """The faces in the region around each box (4,) of the frame at each place."""
        ends = (0, len(self.views) - 1)
        inner = [(self._picture(place), box) for place, box in work if place not in ends]
        found = iter(self.search.regions(inner, self.views[0].grey.shape[1]))
        return [self._faces(place) if place in ends else next(found) for place, _ in work]

    def _picture(self, place: Place) -> RegionPicture:
        if place not in self._pictures:
            self._pictures[place] = self.search.region_picture(self.frames[place - 1], self.views[place])
        return self._pictures[place]

    def _faces(self, place: Place) -> Faces:
        faces = self.views[place].analysis_faces
        assert faces is not None
        return faces

    def _clear(self, faces: Faces) -> list[int]:
        return [int(face) for face in np.flatnonzero(faces.scores >= self._strong)]

    def _is_known(self, place: Place, box: Floats) -> bool:
        corners = box.tolist()
        return any(path.known[place] and path.iou(place, corners) > _SAME_FACE for path in self._paths)

    def _path_at(self, place: Place, box: Floats) -> Path | None:
        """The path that is interpolated to a box (4,) at a place where nothing is known of it."""
        corners = box.tolist()
        ious = [(path.iou(place, corners), path) for path in self._paths if path.spans(place)]
        best, path = max(ious, key=itemgetter(0), default=(0.0, None))
        return path if best > _SAME_FACE else None

    @property
    def _strong(self) -> float:
        return self.search.config.strong_score

    @property
    def _is_long(self) -> bool:
        return len(self.views) > self.check_every + 1

    def _show(self) -> None:
        """Put the faces of all paths into the views."""
        paths, length = self._paths, len(self.views)
        values = np.array([path.values for path in paths], np.float32).reshape(-1, length, FACE_VALUES)
        detected, linked = (
            np.array(flags, np.bool_).reshape(-1, length)
            for flags in ([path.detected for path in paths], [path.linked for path in paths])
        )
        before = np.array([path.face_of.get(0, -1) for path in paths], np.int64)  # numbers in the last view
        moving: Bools = np.asarray(detected[:, 1:-1].any(axis=1))
        for place, shown in enumerate(self._distinct(values, detected)[1:-1], start=1):
            view, found = self.views[place], values[shown, place]
            faces = Faces(found[:, :4], found[:, 4], found[:, 5:].reshape(-1, 5, 2))
            view.set_faces(faces, previous=np.where(linked[shown, place], before[shown], -1))
            view.sources[~detected[shown, place]] = INTERPOLATED
            view.face_patches = [paths[number].patches[place] for number in shown.tolist()]
            view.still = self._is_long and not moving[shown].any()
            before = np.full(len(paths), -1)
            before[shown] = np.arange(len(shown))
        last = length - 1
        for path, face in zip(paths, before.tolist(), strict=True):
            if last in path.face_of and path.linked[last]:
                self.views[last].previous[path.face_of[last]] = face

    def _distinct(self, values: Floats, detected: Bools) -> list[Ints]:
        """The numbers of the paths that are known at each place; of those at the same face there only the clearest.

        `values` (P, n, FACE_VALUES) and `detected` (P, n) are those of all paths.
        """
        known = np.array([path.known for path in self._paths], np.bool_).reshape(detected.shape)
        clearest_first = np.lexsort((-values[..., 4], ~detected, ~known), axis=0)
        counts = known.sum(axis=0)
        numbers = [clearest_first[:count, place] for place, count in enumerate(counts.tolist())]
        # Boxes with an IoU of more than a half have each other's centre inside; mostly each has only its own.
        low, high = values[..., :2], values[..., 2:4]
        centres = ((low + high) / 2)[:, None]
        inside = ((centres >= low) & (centres <= high)).all(axis=-1) & known & known[:, None]  # (P, P, n)
        for place in np.flatnonzero(inside.sum(axis=(0, 1)) > counts).tolist():
            shown = numbers[place]
            boxes = values[shown, place, :4]
            numbers[place] = shown[_first_of_each(iou(boxes, boxes) > _SAME_FACE)]
        return numbers


@dataclass(slots=True, eq=False)
class _Run:
    """A path that is followed from one place towards the end of the stretch."""

    path: Path
    step: int  # 1 forwards, -1 backwards
    end: Place  # the last one, at which the faces are known
    film_frame: int  # as that of the stretch
    place: Place = field(init=False)  # where the face was found last
    target: Place = field(init=False)  # where it is searched next
    stride: int = field(init=False)  # frames to the next search
    found: bool = True  # by the last search
    missed: Place | None = None  # where it was searched in vain since it was found
    velocity: Floats = field(default_factory=lambda: np.zeros(2, np.float32))  # pixels a frame

    def __post_init__(self) -> None:
        places = np.flatnonzero(self.path.detected)
        self.place = int(places[-1] if self.step > 0 else places[0])
        self.stride = self._longest_stride
        self._aim()

    @property
    def over(self) -> bool:
        """Is the end reached, or the face lost?"""
        beyond = (self.target - self.end) * self.step > 0
        return self.place == self.end or beyond or self._distance > _MAX_MISSES * self.film_frame

    @property
    def _longest_stride(self) -> int:
        return _STRIDE * self.film_frame

    @property
    def _distance(self) -> int:
        return abs(self.target - self.place)

    def expected(self) -> Floats:
        """The box (4,) expected at the target."""
        moved = self.velocity * self._distance
        return np.asarray(self.path.boxes[self.place] + np.concatenate([moved, moved]), np.float32)

    def advance(self) -> None:
        """The face was found at the target."""
        last, box = self.path.boxes[self.place], self.path.boxes[self.target]
        moved = (box[:2] + box[2:] - last[:2] - last[2:]) / 2 / self._distance
        self.velocity += _VELOCITY_GAIN * (moved - self.velocity)
        self.place, self.found, self.missed = self.target, True, None
        self.stride = min(2 * self.stride, self._longest_stride)
        self._aim()

    def miss(self) -> None:
        """The face was not found at the target: it is searched frame by frame from where it was found last."""
        self.found = False
        if self.stride > 1:
            self.stride, self.missed = 1, self.target
            self._aim()
        else:
            self.target += self.step
        if self.target == self.missed:
            self.target += self.step

    def _aim(self) -> None:
        self.target = self.place + self.step * min(self.stride, abs(self.end - self.place))


def _first_of_each(same: Bools) -> list[int]:
    """Positions of items (N, N) that are not the same as one at an earlier of these positions."""
    positions: list[int] = []
    for position, others in enumerate(same):
        if not others[positions].any():
            positions.append(position)
    return positions


def _changes_gradually(views: Sequence[FrameView]) -> bool:
    """Do the thumbnails change evenly from the first to the last, so that nobody can have come and gone between?"""
    cells = np.stack([cv2.resize(view.thumbnail, _CELLS, interpolation=cv2.INTER_AREA) for view in views])
    levels = cells.astype(np.float32)
    shares = np.linspace(0, 1, len(views), dtype=np.float32).reshape(-1, 1, 1, 1)
    expected = (1 - shares) * levels[0] + shares * levels[-1]
    return bool(np.abs(levels - expected).max() < _MAX_CELL_CHANGE)
