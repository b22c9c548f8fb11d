"""The part about data sets: picture against sound over ten minutes at other rates, and the footage as a data set."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
import wave
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from facereel import DatasetOptions, Library
from facereel.query.clips.cutter import decode_clips
from facereel.query.clips.facts import with_facts
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.dataset.piece_file import PieceFile
from facereel.query.dataset.pieces import ONE_FACE_SIZE
from facereel.query.records import ClipPlan, MatchingTracklet
from facereel.store.model.records import Sightings, Tracklet
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.library_people import SAME
from tests.benchmarks.media_truth import films, footage_videos, partial_films
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import index_folder, indexed
from tests.benchmarks.scoring import RIGHT, Box, Truth, boxes_by_frame, clipped, iou
from tests.video_factory import CELLS, Recipe, code_box, index_pass, onsets, read_number, write_video

RATE = Fraction(25)
SECONDS = 600
LAST = 30  # seconds at the end of which picture and sound are compared
CHIRPS = 5  # in these
MOST_APART = 0.02  # seconds
SIZE = (160, 90)
# Milliseconds of the frames of a phone, over and over.
PHONE = (33, 34, 33, 17, 50, 33, 33, 66)
RATES = {
    "23.976": Fraction(24000, 1001), "29.97": Fraction(30000, 1001), "30": Fraction(30), "VFR": None,
}  # fmt: skip


def dataset(only: str) -> Iterator[Report]:
    """25 frames a second from other rates; then everybody of the footage."""
    rows, figures = [], []
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        for name, rate in RATES.items():
            if only not in f"rate {name}":
                continue
            say(f"{name} to {RATE}")
            row = _resampled(Path(temporary), rate)
            rows.append({"rate": name} | row)
            figures += [
                at_most(f"picture against sound at the end, s, {name}", row["apart s"], MOST_APART),
                at_most(f"frames repeated or dropped beyond need, {name}", row["needless"], 0),
            ]
    if rows:
        yield f"data set: {SECONDS // 60} min at {RATE} frames a second", rows, figures
    yield from _footage(only)


def _resampled(folder: Path, rate: Fraction | None) -> dict[str, Any]:
    """A film as one piece; how far its last pictures are from their sounds, and which frames it has."""
    recipe = _recipe(rate)
    film = write_video(folder / "film.mp4", recipe)
    video, times = index_pass(film)
    count = video.frame_count
    boxes = np.tile(np.array(code_box(recipe, 0), np.float32), (count, 1))
    sightings = Sightings(np.arange(count), boxes, np.ones(count, np.float32), np.zeros(count, np.uint8))
    tracklet = Tracklet(1, 0, 0, count, "video_start", "video_end", 1, 50.0, 0.9)
    match = MatchingTracklet(video, tracklet, 0.6, 0.4, "photo", "", folder)
    planned, _ = plan_clips([(match, sightings)], {video.sha256: times}, ClipOptions("tube", 64))
    (clip,) = with_facts(planned, {})
    assert clip.facts is not None
    facts = replace(clip.facts, sharpness=np.zeros(count, np.float32))
    piece = replace(clip, file="piece.mp4", facts=facts)
    decode_clips(video, [piece], times, lambda one, colours: PieceFile(one, folder, colours, RATE))
    shown = list(_shown(folder / "piece.mp4", piece, recipe))
    often = np.bincount(shown, minlength=count)
    with wave.open(str(folder / "piece.wav")) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    heard = onsets(samples.astype(np.float32), 16_000, CHIRPS)
    seconds = (piece.ticks - piece.ticks[0]) * float(video.time_base)
    sound_late = [at - seconds[frame] for frame, at in zip(recipe.chirps, heard, strict=True)]
    apart = [
        abs(_late(shown, seconds, frame) - late)
        for frame, late in zip(recipe.chirps, sound_late, strict=True)
    ]
    # Half an output frame, 20 ms, is what any even grid costs a single picture; what drifts would be in the mean.
    last = range(int(np.searchsorted(seconds, seconds[-1] - LAST)), shown[-1] + 1)
    return {
        "frames": count, "written": len(shown), "repeated": int((often - 1).clip(0).sum()),
        "dropped": int((often == 0).sum()), "needless": _needless(piece, often), "apart s": max(apart),
        "picture late s": float(np.mean([_late(shown, seconds, frame) for frame in last])),
        "sound late s": max(sound_late, key=abs), "picture s": len(shown) / float(RATE),
        "sound s": len(samples) / 16_000,
    }  # fmt: skip


def _late(shown: list[int], seconds: np.ndarray[Any, np.dtype[np.float64]], frame: int) -> float:
    """By how much a frame, or the first after it that is shown, comes later than in the source, seconds."""
    place = bisect_left(shown, frame)
    return float(place / float(RATE) - seconds[shown[place]])


def _recipe(rate: Fraction | None) -> Recipe:
    if rate is None:
        lengths = np.resize(PHONE, round(SECONDS * 1000 / np.mean(PHONE)))
        pts = tuple(np.concatenate([[0], np.cumsum(lengths)[:-1]]).tolist())
        recipe = Recipe(
            frames=len(pts), size=SIZE, time_base=Fraction(1, 1000), pts=pts, fps=Fraction(30), gop=250
        )
    else:
        recipe = Recipe(frames=round(SECONDS * rate), size=SIZE, fps=rate, gop=250)
    a_second = recipe.frames / SECONDS
    chirps = tuple(round((SECONDS - LAST * (n + 0.5) / CHIRPS) * a_second) for n in reversed(range(CHIRPS)))
    return replace(recipe, audio="aac", chirps=chirps)


def _shown(path: Path, piece: ClipPlan, recipe: Recipe) -> Iterator[int]:
    """The source frame of each picture; the code has twelve digits, and a later frame never a lower number."""
    cycle, last = 2 ** (CELLS[0] * CELLS[1]), 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            number = read_number(
                np.asarray(frame.to_ndarray(format="gray"), np.uint8), code_box(recipe, 0), piece.crops[0]
            )
            last += (number - last) % cycle
            yield last


def _needless(piece: ClipPlan, often: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """How many frames are shown more or less often than middles of output frames fall into their time."""
    base = piece.match.video.time_base
    moments = [Fraction(int(tick - piece.ticks[0])) * base * RATE - Fraction(1, 2) for tick in piece.ticks]
    places = [-(-moment.numerator // moment.denominator) for moment in moments]
    last = int(often.sum())
    needed = [max(0, min(end, last) - max(0, start)) for start, end in pairwise(places)]
    return int(np.abs(often - np.array(needed)).sum())


# -- The footage


def _footage(only: str) -> Iterator[Report]:
    videos = [video for video in footage_videos(only) if video.stem != "grain"]
    if not videos:
        return
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        store, out = Path(temporary) / "store", Path(temporary) / "set"
        for video in videos:
            say(video.name)
            folder = index_folder(indexed(video))
            shutil.copytree(folder, store / folder.name)
        found = Library(store).dataset(out, options=DatasetOptions(one_face=True))
        rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]
        truths = {film.video.name: film.truth for film in (*films(), *partial_films())}
        whose = {row["file"]: _people(row, out / row["frames_file"], truths) for row in rows}
    truth = {"videos": len(videos), "pieces": found.pieces, "people": found.identities, "s": found.seconds}
    left_out = {f"{reason} s": own.seconds for reason, own in sorted(found.filtered.items())}
    names: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        names[row["id"]] |= whose[row["file"]][0]
    beside = [row["file"] for row in rows if row["other_face_size"] >= ONE_FACE_SIZE or whose[row["file"]][1]]
    yield (
        "data set: everybody of the footage, --one-face",
        [truth | left_out],
        [
            at_most("pieces with another face of 0.3 of the size, by index or truth", len(beside), 0),
            at_most("pieces enlarged more than twice", sum(row["upscale"] > 2 for row in rows), 0),
            at_most("people who are two by truth", sum(len(own) > 1 for own in names.values()), 0),
            Figure("pieces on somebody of the truth", sum(bool(own) for own, _ in whose.values()), "", None),
        ],
    )


def _frames(path: Path, size: int) -> Iterator[tuple[int, Box, Box]]:
    """Frame, box and crop of each row of a piece's CSV, in pixels of the source."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            crop = [float(row[f"crop_{part}"]) for part in "xywh"]
            scale = crop[2] / size
            x, y, w, h = (float(row[f"box_{part}"]) * scale for part in "xywh")
            yield int(row["source_frame"]), [crop[0] + x, crop[1] + y, w, h], crop


def _people(row: Mapping[str, Any], frames_file: Path, truths: Mapping[str, Truth]) -> tuple[set[str], bool]:
    """Who of the truth a piece shows, and whether somebody else of it is in its crop, at least 0.3 as large."""
    truth, film = truths.get(row["video"]), Path(row["video"]).stem
    shown, beside = set[str](), False
    if truth is None:
        return shown, beside
    places = {person: boxes_by_frame(truth, person) for person in truth["people"]}
    for frame, box, crop in _frames(frames_file, row["size"]):
        here = {person: own[frame] for person, own in places.items() if frame in own}
        overlaps = {person: iou(clipped(truth, box), other) for person, other in here.items()}
        best = max(overlaps, key=overlaps.__getitem__, default="")
        if overlaps.get(best, 0.0) < RIGHT:
            continue
        shown.add(SAME.get((film, best), f"{film} {best}"))
        beside |= any(
            iou(other, crop) > 0 and max(other[2:]) >= ONE_FACE_SIZE * max(box[2:])
            for person, other in here.items() if person != best
        )  # fmt: skip
    return shown, beside
