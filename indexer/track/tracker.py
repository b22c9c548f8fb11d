"""Assigns the faces of each frame to tracks.

Assignment is optimal by place and by patch matching, in two rounds as in ByteTrack (Zhang et al., 2022):
strong detections first, then weak ones, which continue tracks but start none. A track without a detection waits for a
while. When a face comes back, patch matching tells whether it was visible all the time: then the gap is filled;
otherwise the track ends and a new one starts. No track goes on over a scene change.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.timing import SLOW_STEP, rounding
from facereel.indexer.track.affinity import MIN_NCC_FAR, Affinities
from facereel.indexer.track.association import is_close, is_occupied, shifted
from facereel.indexer.track.fragments import bounding_box, fragments_of
from facereel.indexer.track.track import Candidate, Change, Track, UnoccludedFace, VideoFormat
from facereel.store.model.config import Config
from facereel.store.model.records import Box, Reason

# A face is at the picture's edge when it is closer to it than this share of the face's width.
_EDGE_SHARE = 0.12


class Tracker:
    """Takes the views of frames in order and gives tracks as they end."""

    def __init__(self, video: VideoFormat, config: Config, start: int = 0) -> None:
        """`start` is the first frame that comes; a shot begins there."""
        self._video = video
        self._config = config
        self._max_gap = config.max_gap + rounding(video.frame_rate)  # seconds
        self._max_extension = config.max_extension + rounding(video.frame_rate)  # seconds
        self._views: deque[FrameView] = deque()  # the last frames of the shot
        # How far back gaps, and extensions of a track that has just got its first patches, reach, seconds.
        self._reach = self._max_gap + self._max_extension + (video.end_frames + 2) / video.frame_rate
        self._tracks: list[Track] = []  # running
        self._ended: list[Track] = []
        self.brief: list[float] = []  # seconds of each face that was there too briefly for a tracklet
        self._shot, self._shot_start = 0, start
        self._slow_step = False  # from the last view but one to the last one of the shot
        self._track_of_face: dict[int, Track] = {}  # by the number of the face in the last view
        # Faces of the last view that something narrow divides, by the number of their strongest fragment: the numbers
        # of all fragments, and what must be added to the box around them to give the box of the face.
        self._fragments: dict[int, tuple[list[int], Box]] = {}

    def step(self, view: FrameView, shot: int, in_transition: bool = False) -> list[Track]:
        """Take the next frame, which belongs to that shot; gives the tracks that ended.

        `in_transition`: the frame shows two shots at once, or nearly so; its patches are not compared.
        """
        same_shot = shot == self._shot
        if not same_shot:
            self._close_shot("scene_cut")
            self._shot, self._shot_start = shot, view.index
        view.in_transition = in_transition
        self._slow_step = bool(self._views) and view.seconds - self._views[-1].seconds > SLOW_STEP
        self._views.append(view)
        boxes = view.boxes.copy()
        linked = self._linked_tracks(view) if same_shot else {}
        if same_shot and (view.previous >= 0).all():
            self._follow_fragments(view)
        else:
            self._find_fragments(boxes, view)
        self._merge_fragments(boxes)
        self._track_of_face = {}
        for face, track in linked.items():
            self._extend_track(track, boxes[face], face, view)
        self._match(boxes, view)
        self._note_changes(view)
        for track in [track for track in self._tracks if view.seconds - track.last_seconds > self._max_gap]:
            self._end(track)
        while view.seconds - self._views[0].seconds > self._reach:
            self._views.popleft()
        return self._take_ended()

    def finish(self, reason: Reason = "video_end") -> list[Track]:
        """No more frames will come: gives the tracks that were still running."""
        self._close_shot(reason)
        return self._take_ended()

    def _take_ended(self) -> list[Track]:
        ended, self._ended = self._ended, []
        return ended

    def _linked_tracks(self, view: FrameView) -> dict[int, Track]:
        """The running tracks of the faces of a view that the scan links with the frame before, by face."""
        running, tracks = set(self._tracks), self._track_of_face
        return {
            face: tracks[before]
            for face, before in enumerate(view.previous.tolist())
            if before in tracks and tracks[before] in running
        }

    def _match(self, boxes: list[Box], view: FrameView) -> None:
        """Assign the faces of a view, with these boxes, that have no track yet; start tracks for strong ones."""
        scores = view.faces.scores.tolist()
        fragments = {face for faces, _ in self._fragments.values() for face in faces[1:]}
        free = [
            face for face in range(len(boxes)) if face not in self._track_of_face and face not in fragments
        ]
        strong = [face for face in free if scores[face] >= self._config.strong_score]
        weak = [face for face in free if self._config.weak_score <= scores[face] < self._config.strong_score]
        waiting = [track for track in self._tracks if track.frames[-1] < view.index]
        tracks, new_faces = self._assign(waiting, boxes, strong, view)
        self._assign(tracks, boxes, weak, view)
        # Of several new faces at one place the strongest starts a track, whatever order the detector gives them in.
        for face in sorted(new_faces, key=lambda new: (-scores[new], *boxes[new])):
            if not is_occupied(
                boxes[face], view.tracked_boxes
            ):  # otherwise it is part of a face that has a track
                self._start(boxes[face], face, view)

    def _assign(
        self, tracks: list[Track], boxes: list[Box], faces: list[int], view: FrameView
    ) -> tuple[list[Track], list[int]]:
        """Give faces of a view, with these boxes, to tracks; returns the tracks and faces that are left."""
        if not tracks or not faces:
            return tracks, faces
        affinities = Affinities(tracks, [boxes[face] for face in faces], view)
        face_of_track: dict[int, int] = {}
        again = True
        while again:
            again = False
            for row, column in affinities.best():
                face = faces[column]
                if self._link(tracks[row], boxes[face], face, view):
                    face_of_track[row] = face
                    affinities.take((row, column))
                else:
                    # The face was hidden in the gap: another track may have it, the next round tells which.
                    affinities.remove((row, column))
                    again = True
        used = set(face_of_track.values())
        left_tracks = [track for row, track in enumerate(tracks) if row not in face_of_track]
        return left_tracks, [face for face in faces if face not in used]

    def _link(self, track: Track, box: Box, face: int, view: FrameView) -> bool:
        """Continue a track with a face, if it was visible in all frames between; returns whether it was."""
        gap = [between for between in self._views if track.frames[-1] < between.index < view.index]
        if gap and not track.bridge(gap, view, box):
            return False
        assert track.patch is not None
        if self._slow_step and view.match_patch(track.patch, box).ncc < MIN_NCC_FAR:
            track.doubts.append(view.index)
        self._extend_track(track, box, face, view)
        return True

    def _extend_track(self, track: Track, box: Box, face: int, view: FrameView) -> None:
        self._track_of_face[face] = track
        if not track.extended_back and len(track.first_patches) == self._video.end_frames:
            self._extend_back(track)
        score = float(view.faces.scores[face])
        track.add(view, box, face, score >= self._config.strong_score)
        crop = view.crops[face]
        if crop is not None:
            track.add_candidate(Candidate(view.index, score, crop, view.clothes.get(face)))

    def _note_changes(self, view: FrameView) -> None:
        """Note which faces of this view, the last one, are not those that their tracks had shortly before."""
        if view.index % self._video.change_step:
            return
        for track in self._track_of_face.values():
            if track.changes_in(view):
                track.changes.append(Change(view.index, self._meets(track)))

    def _meets(self, track: Track) -> bool:
        """Is a face close that was tracked together with that of this track, and lost since at most?"""
        last = track.frames[-1]
        return any(
            is_close(track.boxes[-1], other.boxes[-1], lost=other.frames[-1] < last)
            for other in self._tracks
            if other is not track
            and other.frames[-1] > track.frames[0]
            and other.detected_seconds >= self._config.min_seconds
        )

    def _find_fragments(self, boxes: list[Box], view: FrameView) -> None:
        """Find the tracks whose face something narrow divides in this view, with these boxes.

        The detector gives a fragment of such a face on one side or both; patch matching confirms the complete face.
        """
        self._fragments = {}
        if not boxes:
            return
        for track in self._tracks:
            before, track.unoccluded = track.unoccluded, None
            fragments = fragments_of(before.box if before else track.widest_recent()[1], boxes)
            # A division begins with two fragments; while it lasts one is enough.
            if len(fragments) < (1 if before else 2) or any(face in self._fragments for face in fragments):
                continue
            unoccluded = before or track.unoccluded_face(self._views)
            if unoccluded is None:
                continue
            match = view.match_patch(unoccluded.patch, unoccluded.box)
            if match.visible:
                track.patch = unoccluded.patch
                box = shifted(unoccluded.box, match.shift)
                track.unoccluded = UnoccludedFace(box, unoccluded.patch)
                fragments.sort(key=lambda face: -float(view.faces.scores[face]))
                around = bounding_box([boxes[part] for part in fragments])
                dx, dy, dw, dh = (side - other for side, other in zip(box, around, strict=True))
                self._fragments[fragments[0]] = fragments, (dx, dy, dw, dh)

    def _follow_fragments(self, view: FrameView) -> None:
        """Give the fragments of the frame before the numbers that they have in a view whose faces are all linked."""
        face_of = {before: face for face, before in enumerate(view.previous.tolist())}
        self._fragments = {
            face_of[strongest]: ([face_of[face] for face in fragments], difference)
            for strongest, (fragments, difference) in self._fragments.items()
            if all(face in face_of for face in fragments)
        }

    def _merge_fragments(self, boxes: list[Box]) -> None:
        """Replace the box of each divided face's strongest fragment, in these boxes, by the box of the face."""
        for face, (fragments, (dx, dy, dw, dh)) in self._fragments.items():
            x, y, w, h = bounding_box([boxes[part] for part in fragments])
            boxes[face] = x + dx, y + dy, w + dw, h + dh

    def _start(self, box: Box, face: int, view: FrameView) -> None:
        """Start a track; one that holds another fragment of the same face ends."""
        for other in list(self._tracks):
            if other.is_fragment_beside(box) and other.frames[0] < view.index:
                other.end_before(view.index)
                self._end(other)
        track = Track(self._shot, "occlusion", self._video)
        self._extend_track(track, box, face, view)
        # Who was hidden, or in profile before the other, may come out only now.
        for other in self._tracks:
            if other.changed_recently(view.seconds) and is_close(box, other.boxes[-1]):
                other.changes[-1] = replace(other.changes[-1], meeting=True)
        self._tracks.append(track)

    def _extend_back(self, track: Track) -> None:
        first = track.frames[0]
        earlier = [
            view
            for view in self._views
            if view.index < first and track.first_seconds - view.seconds <= self._max_extension
        ]
        track.extend_back(reversed(earlier))
        track.start_reason = self._start_reason(track)

    def _end(self, track: Track) -> None:
        self._tracks.remove(track)
        if not track.extended_back:
            self._extend_back(track)
        last = track.frames[-1]
        later = [
            view
            for view in self._views
            if view.index > last and view.seconds - track.last_seconds <= self._max_extension
        ]
        track.extend(later)
        track.end_reason = "left_frame" if self._at_edge(track.boxes[-1]) else "occlusion"
        # A hand or a pattern looks like a face for a moment only, or never clearly.
        if max((candidate.score for candidate in track.candidates), default=0.0) < self._config.sure_score:
            return
        if track.detected_seconds >= self._config.min_seconds:
            self._ended.append(track)
        else:
            self.brief.append(track.detected_seconds)

    def _close_shot(self, reason: Reason) -> None:
        """End all tracks; `reason` is that of those that reach the last frame."""
        last = self._views[-1].index if self._views else -1
        for track in list(self._tracks):
            self._end(track)
            if track.frames[-1] == last:
                track.end_reason = reason
        self._views.clear()

    def _start_reason(self, track: Track) -> Reason:
        if track.frames[0] == 0:
            return "video_start"
        if track.frames[0] == self._shot_start:
            return "scene_cut"
        return "entered_frame" if self._at_edge(track.boxes[0]) else "occlusion"

    def _at_edge(self, box: Box) -> bool:
        x, y, w, h = box
        edge = _EDGE_SHARE * w
        inside_x = edge <= x and x + w + edge <= self._video.width
        inside_y = edge <= y and y + h + edge <= self._video.height
        return not (inside_x and inside_y)
