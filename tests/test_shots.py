"""Scene changes: cuts, dissolves, fades and wipes are found; flashes, pans, lamps and passers-by are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from facereel.indexer.shots.adaptive import AdaptiveShotDetector
from facereel.indexer.shots.content import ADAPTIVE_RATIO, MIN_CONTENT, ContentChanges
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE
from facereel.store.model.records import Image

Picture: TypeAlias = NDArray[np.float32]  # (72, 128, 3)
WIDTH, HEIGHT = THUMBNAIL_SIZE


def place(seed: int, width: int = WIDTH + 24, height: int = HEIGHT + 16) -> Picture:
    """Somewhere: light and dark areas, things before them, colours of its own."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 18)
    picture = (110 + 45 * ground / ground.std())[..., None] * rng.uniform(0.6, 1.2, 3)
    for _ in range(width // 6):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        colour = rng.integers(10, 245, 3).tolist()
        if rng.random() < 0.5:
            cv2.ellipse(picture, (x, y), rng.integers(3, 16, 2).tolist(), 0, 0, 360, colour, -1)
        else:
            w, h = rng.integers(4, 26, 2).tolist()
            cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)
    return np.asarray(picture, np.float32)


def filmed(somewhere: Picture, frames: int, seed: int = 0) -> list[Picture]:
    """A camera that a hand holds, with something that moves before it."""
    found = []
    for frame in range(frames):
        dx, dy = 12 + round(3 * np.sin(frame / 17 + seed)), 8 + round(2 * np.sin(frame / 11 + 2 * seed))
        view = somewhere[dy : dy + HEIGHT, dx : dx + WIDTH].copy()
        centre = (round(64 + 20 * np.sin(frame / 20 + seed)), 44)
        cv2.ellipse(view, centre, (9, 13), 0, 0, 360, (120, 150, 190), -1)
        found.append(view)
    return found


def shots(pictures: Sequence[Picture], rate: Fraction = Fraction(25)) -> list[int]:
    """Scene changes in pictures that a noisy sensor saw."""
    detector = AdaptiveShotDetector(rate)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2.5, (8, HEIGHT, WIDTH, 3))
    for index, picture in enumerate(pictures):
        detector.push(index, index / float(rate), clipped(picture + noise[index % 8]))
    detector.finish()
    return detector.cuts()


def clipped(picture: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def blend(kind: str, one: list[Picture], other: list[Picture]) -> list[Picture]:
    """The pictures of a gradual change between two shots of equal length."""
    count, mixed = len(one), []
    for number, (a, b) in enumerate(zip(one, other, strict=True), start=1):
        share = number / (count + 1)
        if kind == "dissolve":
            mixed.append((1 - share) * a + share * b)
        elif kind == "wipe":
            edge = round(share * WIDTH)
            mixed.append(np.concatenate([b[:, :edge], a[:, edge:]], axis=1))
        else:
            colour = 0.0 if kind == "fade to black" else 255.0
            part = abs(1 - 2 * share)
            mixed.append(part * (a if share < 0.5 else b) + (1 - part) * colour)
    return mixed


@pytest.mark.parametrize("seed", range(4))
def test_hard_cuts_are_found_to_the_frame(seed: int) -> None:
    lengths = (40, 25, 60, 13, 30)
    pictures = [
        picture
        for number, length in enumerate(lengths)
        for picture in filmed(place(10 * seed + number), length, number)
    ]
    assert shots(pictures) == np.cumsum(lengths)[:-1].tolist()


@pytest.mark.parametrize("rate", [Fraction(12), Fraction(24000, 1001), Fraction(60)])
def test_hard_cuts_at_any_frame_rate(rate: Fraction) -> None:
    pictures = filmed(place(1), 45) + filmed(place(2), 50) + filmed(place(3), 40)
    assert shots(pictures, rate) == [45, 95]


@pytest.mark.parametrize("step", [2, 4, 8, 25])
def test_cuts_are_found_in_every_few_frames_of_a_film(step: int) -> None:
    """Down to one frame a second, where a shot may be a single picture and the one after it as the one before."""
    film = [filmed(place(1), 90), filmed(place(2), 40), filmed(place(1), 30, 1), filmed(place(3), 20)]
    pictures = [view for take in film for view in take][::step]
    found = shots(pictures, Fraction(25, step))
    assert {-(-cut // step) for cut in (90, 130, 160)} <= set(found)
    # At one frame a second what moves may look like another scene: rather one boundary too many.
    assert len(found) == 3 or (step == 25 and len(found) == 4)


def test_cuts_there_and_back() -> None:
    """Two cameras and one talk: the same two pictures again and again."""
    one, other = place(1), place(2)
    pictures = [view for turn in range(6) for view in filmed((one, other)[turn % 2], 26, turn % 2)]
    assert shots(pictures) == [26, 52, 78, 104, 130]


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        ("dissolve", 12), ("dissolve", 25), ("wipe", 14), ("wipe", 22),
        ("fade to black", 16), ("fade to black", 24), ("fade to white", 16),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_a_gradual_change_is_found_and_lies_inside_it(kind: str, frames: int, seed: int) -> None:
    one, other = filmed(place(30 + seed), 60 + frames), filmed(place(60 + seed), 60 + frames, 3)
    pictures = one[:60] + blend(kind, one[60:], other[:frames]) + other[frames:]
    found = shots(pictures)
    assert found, "the change is missed"
    assert all(58 <= cut <= 62 + frames for cut in found), found
    # Into and out of a blank picture are two; a wipe may be met twice while both sides are seen.
    assert len(found) <= (1 if kind == "dissolve" else 2), found


def flash(frames: int, strength: float = 0.8) -> list[Picture]:
    pictures = filmed(place(5), 90)
    for number in (*range(30, 30 + frames), *range(60, 60 + frames)):
        pictures[number] = (1 - strength) * pictures[number] + np.float32(strength * 250)
    return pictures


def strobe() -> list[Picture]:
    lit = (number for number in range(30, 60) if number % 4 < 2)
    pictures = filmed(place(5), 90)
    for number in lit:
        pictures[number] = 0.5 * pictures[number] + 0.5 * 250
    return pictures


def pan(frames: int) -> list[Picture]:
    """The camera swings over half a picture's width and more, blurred by its speed."""
    wide = place(7, width=2 * WIDTH + 40)
    pictures = []
    for number in range(90):
        left = round(float(np.interp(number, (40, 40 + frames), (0, WIDTH))))
        blur = max(1, WIDTH // frames // 2) if 40 < number < 40 + frames else 1
        pictures.append(np.asarray(cv2.blur(wide[:HEIGHT, left : left + WIDTH], (blur, 1)), np.float32))
    return pictures


def zoom() -> list[Picture]:
    somewhere, pictures = place(8), []
    for number in range(90):
        scale = float(np.interp(number, (30, 55), (1, 0.55)))
        w, h = round(WIDTH * scale), round(HEIGHT * scale)
        left, top = (WIDTH - w) // 2, (HEIGHT - h) // 2
        part = somewhere[top : top + h, left : left + w]
        pictures.append(
            np.asarray(cv2.resize(part, THUMBNAIL_SIZE, interpolation=cv2.INTER_LINEAR), np.float32)
        )
    return pictures


def lamp() -> list[Picture]:
    return [
        picture * np.float32(1.0 if 35 <= number < 70 else 0.5)
        for number, picture in enumerate(filmed(place(9), 100))
    ]


def passer_by() -> list[Picture]:
    """A dark figure as high as the picture runs past close to the camera and covers nearly all of it."""
    pictures = filmed(place(11), 90)
    for number in range(35, 45):
        left = round(float(np.interp(number, (35, 45), (-1.1 * WIDTH, 1.1 * WIDTH))))
        part = pictures[number][:, max(0, left) : max(0, left + WIDTH)]
        part[...] = (40, 45, 50) + np.linspace(0, 25, HEIGHT)[:, None, None]
    return pictures


NO_CHANGES: dict[str, Callable[[], list[Picture]]] = {
    "nothing at all": lambda: [place(1)[:HEIGHT, :WIDTH]] * 80,
    "a hand-held camera": lambda: filmed(place(2), 120),
    "a flash of 1 frame": lambda: flash(1),
    "a flash of 3 frames": lambda: flash(3),
    "a flash that blinds for 2 frames": lambda: flash(2, strength=1.0),
    "another picture for 2 frames": lambda: filmed(place(5), 40) + filmed(place(6), 2) + filmed(place(5), 40),
    "a strobe": strobe,
    "a pan": lambda: pan(40),
    "a fast pan": lambda: pan(12),
    "a zoom": zoom,
    "a lamp": lamp,
    "a passer-by": passer_by,
    "black": lambda: [np.zeros((HEIGHT, WIDTH, 3), np.float32)] * 80,
}


@pytest.mark.parametrize("what", NO_CHANGES)
def test_is_no_scene_change(what: str) -> None:
    assert shots(NO_CHANGES[what]()) == []


def hurrying() -> list[Picture]:
    """Somebody runs through a still picture, too fast for one frame to resemble the next."""
    somewhere, pictures = place(12)[:HEIGHT, :WIDTH], []
    dots = np.random.default_rng(4).uniform(10, 245, (44, 26, 3)).astype(np.float32)
    blocks = cv2.resize(cv2.resize(dots, (9, 14)), (26, 44), interpolation=cv2.INTER_NEAREST)
    for number in range(60):
        picture, left = somewhere.copy(), 11 * max(0, number - 20)
        part = picture[4:48, left : left + 26]
        part[...] = blocks[:, : part.shape[1]]
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("rate", [25, 50, 100])
def test_a_film_with_repeated_frames_has_the_shots_of_the_film(rate: int) -> None:
    """As a screen recorder stores a film of 25 frames a second."""
    pictures = [*hurrying(), *filmed(place(3), 40), *filmed(place(4), 40)]
    repeated = [picture for picture in pictures for _ in range(rate // 25)]
    assert shots(repeated, Fraction(rate)) == [60 * rate // 25, 100 * rate // 25]


PLACES = [clipped(filmed(place(seed), 1)[0]) for seed in range(5)] + [np.zeros((HEIGHT, WIDTH, 3), np.uint8)]
RATES = st.sampled_from([Fraction(1), Fraction(12), Fraction(25), Fraction(30000, 1001), Fraction(120)])
FILMS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30), st.booleans()), max_size=6)


def cut_together(film: list[tuple[int, int, bool]]) -> list[Image]:
    """Stretches of places; each begins with a cut or by dissolving from the one before."""
    pictures: list[Image] = []
    for number, frames, dissolves in film:
        here = PLACES[number]
        before = pictures[-1] if pictures and dissolves else here
        for frame in range(frames):
            share = min(1.0, (frame + 1) / 12)
            pictures.append(clipped((1 - share) * before + share * here))
    return pictures


@given(FILMS, RATES)
@settings(max_examples=25, deadline=None)
def test_shots_partition_the_timeline_and_final_answers_stay(
    film: list[tuple[int, int, bool]], rate: Fraction
) -> None:
    pictures, detector = cut_together(film), AdaptiveShotDetector(rate)
    final, known = 0, list[int]()
    for index, picture in enumerate(pictures):
        detector.push(index, index / float(rate), picture)
        cuts = detector.cuts()
        assert [cut for cut in cuts if cut < final] == known
        assert final <= detector.final_before <= index + 1
        final = detector.final_before
        known = [cut for cut in cuts if cut < final]
    detector.finish()
    cuts = detector.cuts()
    assert [cut for cut in cuts if cut < final] == known
    assert detector.final_before == len(pictures)
    edges = [0, *cuts, len(pictures)]
    assert all(one < other for one, other in pairwise(edges)) or not pictures


@pytest.mark.parametrize("beside", [1, 2, 4])
def test_changes_stand_out_as_for_pyscenedetect(beside: int) -> None:
    film = [
        (0, 30, False),
        (1, 3, False),
        (5, 12, True),
        (5, 9, False),
        (2, 40, True),
        (3, 1, False),
        (4, 25, False),
    ]
    theirs = AdaptiveDetector(
        adaptive_threshold=ADAPTIVE_RATIO, min_scene_len=1, min_content_val=MIN_CONTENT, window_width=beside
    )
    ours, found, expected = ContentChanges(beside), list[int](), list[int]()
    for index, picture in enumerate(cut_together(film)):
        expected += [cut.frame_num for cut in theirs.process_frame(FrameTimecode(index, fps=25.0), picture)]
        found += [index - beside] if ours.push(picture) else []
    assert found == expected
    assert len(found) >= 4
