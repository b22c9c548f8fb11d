"""Render sample.mp4, its truth, the reference photos and the two photos for errors, all beside this script.

    python samples/make_sample.py [--package PATH] [--out DIR]

Needs numpy, opencv, av, scikit-image, matplotlib, and the source package of face_recognition 1.3.0 (packed or
unpacked, --package PATH; without it pip downloads it). Takes some minutes. The same versions of the libraries
give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

# isort: split
from photos import write_photos
from portraits import SOURCES, Array, CutOut, cut_out, face_outline, fetch_package, load_pictures, show
from scenery import HEIGHT, WIDTH, Film
from soundtrack import RATE, soundtrack
from story import DISSOLVE, FRAMES, HARD_CUTS, SHOTS, Take, story

FPS = 25
PLAIN = 0.5  # share of the face that must be seen for it to be asked for
BOXED = 0.25  # share from which on the truth gives a box
GONE = 0.02  # share below which a covered face counts as hidden: a sliver of cheek is no face
H264 = {"preset": "slow", "crf": "24", "maxrate": "1450k", "bufsize": "2900k", "profile": "high", "g": "100"}
STILL = 3.0  # pixels a frame; slower than that nobody sees the motion blur
SHUTTER = 0.44  # share of a frame for which it is open: the motion blur


@dataclass(frozen=True, slots=True)
class Seen:
    """One person's face in one frame."""

    box: tuple[float, float, float, float]  # x y w h, cut at the picture's edge
    share: float  # of the face that is seen, 0..1
    inside: float  # of the face that lies in the picture, covered or not


def over(stage: Array, layer: Array) -> Array:
    """`layer` (BGRA, premultiplied) laid over `stage` (BGR)."""
    return np.asarray(stage * (1 - layer[..., 3:]) + layer[..., :3])


def film_take(take: Take, frame: int, cutouts: dict[str, CutOut]) -> tuple[Array, dict[str, Seen]]:
    """One frame of a take, (720, 1280, 3) float32 BGR, and the faces in it."""
    steps = [(a.pose(frame - 0.5), a.pose(frame + 0.5)) for a in take.actors]
    speeds = [math.hypot(after.x - before.x, after.y - before.y) for before, after in steps]
    fast = max([*speeds, take.prop_speed if take.prop(frame) is not None else 0.0])
    half = 0 if fast < STILL else 1 if fast < 12 else 2
    backdrop = take.background.at(frame - take.start)
    at_rest = [show(cutouts[a.name], a.pose(frame), (HEIGHT, WIDTH)) for a in take.actors]
    total = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    seen: dict[str, Seen] = {}
    for k in range(-half, half + 1):
        moment = frame + SHUTTER / 2 * k / max(half, 1)
        layers = [
            rest if k == 0 or speed < STILL else show(cutouts[a.name], a.pose(moment), (HEIGHT, WIDTH))
            for a, rest, speed in zip(take.actors, at_rest, speeds, strict=True)
        ]
        prop = take.prop(moment)
        layers += [] if prop is None else [prop]
        picture = backdrop
        for layer in layers:
            picture = over(picture, layer)
        total += picture
        if k == 0:
            alphas = [layer[..., 3] for layer in layers]
            for n, actor in enumerate(take.actors):
                _, _, w, h = cutouts[actor.name].face
                seen[actor.name] = look(face_outline(actor.pose(frame), h / w), alphas[n + 1 :])
    return total / (2 * half + 1), seen


def look(outline: Array, in_front: list[Array]) -> Seen:
    """The face with that outline behind those alphas."""
    area = float(cv2.contourArea(outline.astype(np.float32)))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.asarray(np.round(outline), np.int32)], 1)
    inside = min(1.0, float(mask.sum()) / area)
    free = mask.astype(np.float32)
    for alpha in in_front:
        free *= 1 - alpha
    x0, y0 = np.clip(outline.min(axis=0), 0, (WIDTH, HEIGHT))
    x1, y1 = np.clip(outline.max(axis=0), 0, (WIDTH, HEIGHT))
    return Seen((x0, y0, x1 - x0, y1 - y0), min(inside, float(free.sum()) / area), inside)


def runs(frames: set[int]) -> list[list[int]]:
    """Frames as half-open ranges."""
    out: list[list[int]] = []
    for frame in sorted(frames):
        if out and out[-1][1] == frame:
            out[-1][1] = frame + 1
        else:
            out.append([frame, frame + 1])
    return out


def truth_of(seen: list[dict[str, Seen]], references: dict[str, list[str]]) -> dict[str, object]:
    """The truth file: what a search should find."""
    people = {}
    for name in references:
        here = {f: s[name] for f, s in enumerate(seen) if name in s and s[name].inside > 0}
        mixed = {f for f in here if DISSOLVE[0] <= f < DISSOLVE[1]}
        people[name] = {
            "references": references[name],
            "frames": {str(f): [round(v, 1) for v in s.box] for f, s in here.items() if s.share >= BOXED},
            "may": runs({f for f, s in here.items() if s.share < PLAIN} | mixed),
            "hidden": runs({f for f, s in here.items() if s.inside > PLAIN and s.share < GONE}),
        }
    head = {
        "video": "sample.mp4",
        "frames": FRAMES,
        "shots": list(SHOTS),
        "unsure_cuts": [],
        "ghost_frames": [],
    }
    return {**head, "people": people}


def make_sound(seen: list[dict[str, Seen]], takes: list[Take]) -> Array:
    """The soundtrack for what is seen: who is there alone speaks, several take turns of 1.2 s."""
    visible = {name: np.zeros(FRAMES) for name in SOURCES}
    places = {name: np.full(FRAMES, 0.5) for name in SOURCES}
    for f, here in enumerate(seen):
        plain = sorted(name for name, s in here.items() if s.share > 0)
        for k, name in enumerate(plain):
            visible[name][f] = here[name].share if f // 30 % len(plain) == k else 0.0
            places[name][f] = np.clip((here[name].box[0] + here[name].box[2] / 2) / WIDTH, 0.1, 0.9)
    passing = np.zeros(FRAMES)
    for take in takes[1:]:  # the microphone of the first makes no wind
        for f in range(take.start, take.end):
            passing[f] = max(passing[f], float(take.prop(f) is not None))
    return soundtrack(visible, places, SHOTS, HARD_CUTS, passing, FPS)


def encode(path: Path, pictures: Iterable[Array], sound: Callable[[], Array]) -> None:
    """H.264 High and AAC in MP4, the index in front; `pictures` are (H, W, 3) BGR.

    `sound` gives (2, samples) and is asked after the last picture: what is heard follows from what was seen.
    """
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=FPS, options=H264)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.thread_count = 2  # fixed: it shapes the bits
        codec = video.codec_context
        codec.time_base = Fraction(1, FPS)
        codec.colorspace = codec.color_primaries = codec.color_trc = 1  # BT.709
        audio = container.add_stream("aac", rate=RATE, layout="stereo", bit_rate=96_000)
        packets: list[av.packet.Packet[Any]] = []
        for k, picture in enumerate(pictures):
            shot = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame = shot.reformat(format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            packets += video.encode(frame)
        packets += video.encode(None)
        samples = sound()
        for start in range(0, samples.shape[1], RATE):
            part = np.ascontiguousarray(samples[:, start : start + RATE])
            tone = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            tone.sample_rate, tone.pts, tone.time_base = RATE, start, Fraction(1, RATE)
            packets += audio.encode(tone)
        packets += audio.encode(None)
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            container.mux(packet)


def film_all(cutouts: dict[str, CutOut], takes: list[Take], seen: list[dict[str, Seen]]) -> Iterator[Array]:
    """Every frame of the film, (720, 1280, 3) BGR uint8; the faces in it are added to `seen`."""
    film = Film(6, 0.005)
    for frame in range(FRAMES):
        filmed = [film_take(take, frame, cutouts) for take in takes if take.start <= frame < take.end]
        mix = (frame - DISSOLVE[0] + 1) / (DISSOLVE[1] - DISSOLVE[0] + 1)
        picture = filmed[0][0] if len(filmed) == 1 else filmed[0][0] * (1 - mix) + filmed[1][0] * mix
        seen.append({name: face for _, faces in filmed for name, face in faces.items()})
        if frame % FPS == 0:
            print(f"\r{frame / FPS:.0f} of {FRAMES / FPS:.0f} s", end="", flush=True)
        yield film.expose(picture, frame)


def main() -> None:
    """Make everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", type=Path, help="source package of face_recognition, packed or unpacked")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where to (default: here)")
    given = parser.parse_args()
    pictures = load_pictures(fetch_package(given.package))
    references = write_photos(pictures, given.out)
    cutouts = {name: cut_out(pictures[name], source) for name, source in SOURCES.items()}
    takes, target = story(), given.out / "sample.mp4"
    seen: list[dict[str, Seen]] = []
    encode(target, film_all(cutouts, takes, seen), lambda: make_sound(seen, takes))
    truth = json.dumps(truth_of(seen, references))
    (given.out / "sample.truth.json").write_text(truth + "\n")
    print(f"\r{target}: {FRAMES} frames, {target.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
