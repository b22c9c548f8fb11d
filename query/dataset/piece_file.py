"""The files of a piece: its picture as MP4, its sound as WAV, and a CSV with landmarks, boxes and more of each frame.

The CSV comes last: a piece that has one is complete.
"""

from __future__ import annotations

import csv
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TextIO

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from facereel.query.clips.mp4 import ENCODER, Colours
from facereel.query.clips.resample import Plane, crop_planes, samples_per_pixel
from facereel.query.clips.sound import read_mono
from facereel.query.dataset.sampling import shown_frames
from facereel.query.dataset.speech import RATE, write_wav
from facereel.query.records import ClipPlan
from facereel.store.files.disk import atomic_file
from facereel.store.model.errors import CutError
from facereel.store.model.records import Floats

COLUMNS = (
    "frame", "time", "source_frame", "source_pts", "crop_x", "crop_y", "crop_w", "crop_h",
    "box_x", "box_y", "box_w", "box_h", "sharpness", "yaw", "landmarks_source",
    "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y",
    "left_mouth_x", "left_mouth_y", "right_mouth_x", "right_mouth_y",
)  # fmt: skip

# One thread: the same bytes on every machine, and many pieces are written side by side.
_ENCODER = {**ENCODER, "threads": "1"}


class PieceFile:
    """The sink of a piece: writes its frames at a fixed rate, then its sound and the facts of its frames."""

    def __init__(self, piece: ClipPlan, folder: Path, colours: Colours, rate: Fraction) -> None:
        """Open the file of a piece, whose name may begin with folders; raises OSError, FFmpegError."""
        self._piece, self._rate = piece, rate
        self._target = folder / piece.file
        self._temporary = self._target.with_name(f".{self._target.name}.part")
        self._shown = shown_frames(piece.ticks, piece.match.video.time_base, rate)
        self._times = np.bincount(self._shown, minlength=len(piece.sightings)).tolist()
        self._samples = samples_per_pixel(piece.crops, piece.width, piece.height)
        self._read = self._written = self._packets = 0
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = piece.width, piece.height, "yuv420p"
        context = self._stream.codec_context
        context.time_base, context.gop_size, context.options = 1 / rate, max(12, round(rate)), dict(_ENCODER)
        context.color_range = ColorRange.MPEG
        context.colorspace, context.color_primaries = colours.matrix, colours.primaries
        context.color_trc = colours.transfer

    def write(self, planes: list[Plane]) -> None:
        """Write the next frame of the source as often as it is on show."""
        piece, place = self._piece, self._read
        self._read += 1
        if not self._times[place]:
            return
        video = piece.match.video
        pixels = crop_planes(
            planes, (video.width, video.height), (video.rotation, video.mirrored), piece.crops[place].tolist(),
            (piece.width, piece.height), self._samples,
        )  # fmt: skip
        for _ in range(self._times[place]):
            frame = VideoFrame.from_ndarray(pixels, "yuv420p")
            frame.pts, frame.time_base = self._written, 1 / self._rate
            self._written += 1
            self._mux(frame)

    def finish(self) -> ClipPlan:
        """Complete all files of the piece; raises CutError when the picture does not hold every frame."""
        self._mux(None)
        self._container.close()
        if self._packets != len(self._shown):
            self.discard()
            raise CutError(
                f"{self._target.name} got {self._packets} of {len(self._shown)} frames; "
                "run it again, and report it if this repeats"
            )
        self._temporary.replace(self._target)
        video, start = self._piece.match.video, int(self._piece.ticks[0]) * self._piece.match.video.time_base
        sound = read_mono(video, start, start + len(self._shown) / self._rate, RATE)
        if sound is not None:
            with atomic_file(self._target.with_suffix(".wav")) as unfinished:
                write_wav(unfinished, sound)
        with (
            atomic_file(self._target.with_suffix(".csv")) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="") as file,
        ):
            self._write_frames(file)
        return self._piece

    def discard(self) -> None:
        """Close and delete the unfinished file."""
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()
        self._temporary.unlink(missing_ok=True)

    def _mux(self, frame: VideoFrame | None) -> None:
        packets = self._stream.encode(frame)
        self._packets += len(packets)
        self._container.mux(packets)

    def _write_frames(self, file: TextIO) -> None:
        piece = self._piece
        scale = np.asarray(piece.width / piece.crops[:, 2:3], np.float32)
        boxes = np.concatenate(
            [
                (piece.sightings.boxes[:, :2] - piece.crops[:, :2]) * scale,
                piece.sightings.boxes[:, 2:] * scale,
            ],
            axis=1,
        )
        crops = np.round(piece.crops.astype(np.float64), 3).tolist()
        facts = _facts(piece, scale)
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, place in enumerate(self._shown.tolist()):
            time = round(float(number / self._rate), 6)
            source = piece.start + place, int(piece.ticks[place])
            writer.writerow([number, time, *source, *crops[place], *_rounded(boxes[place], 2), *facts[place]])


def _facts(piece: ClipPlan, scale: Floats) -> list[list[float | str]]:
    """Sharpness, yaw, the source of the landmarks and these in pixels of the piece, for each frame of the source."""
    facts, count = piece.facts, len(piece.sightings)
    if facts is None or facts.sharpness is None:
        raise ValueError("a piece is written once its frames were measured")
    sharpness = _rounded(facts.sharpness, 3)
    if facts.landmarks is None or facts.detected is None or facts.yaws is None:
        return [[sharp, *[""] * 12] for sharp in sharpness]
    points = (facts.landmarks - piece.crops[:, None, :2]) * scale[:, None]
    sources = np.where(facts.detected, "detected", "interpolated").tolist()
    rows = zip(sharpness, _rounded(facts.yaws, 1), sources, points.reshape(count, 10), strict=True)
    return [[sharp, turn, source, *_rounded(own, 2)] for sharp, turn, source, own in rows]


def _rounded(values: Floats, digits: int) -> list[float]:
    return [*np.round(values.astype(np.float64), digits).tolist()]
