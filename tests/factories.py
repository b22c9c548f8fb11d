"""Small random records: whatever an index can hold, without a video; and whether an index holds them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from facereel.indexer.engines.protocol import FaceEngine, default_stranger_rates
from facereel.indexer.media.video import probe
from facereel.indexer.pipeline import index_video
from facereel.query.search.certainty import Criterion
from facereel.store.files.digest import hash_file
from facereel.store.files.disk import make_store
from facereel.store.index.crops import decode_crop, encode_crop
from facereel.store.index.reader import VideoIndex
from facereel.store.model.config import Config
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import (
    CLOTHES_BINS,
    Checkpoint,
    Cluster,
    EngineInfo,
    Exemplar,
    FrameTimes,
    IndexStats,
    Segment,
    Shot,
    Sightings,
    Tracklet,
    Video,
)
from facereel.store.resume.unfinished import UnfinishedIndex

CROP = np.add.outer(np.arange(112), np.arange(112))[..., None].repeat(3, axis=2).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class IndexContents:
    """Everything that an index of one video holds."""

    video: Video
    times: FrameTimes
    engine: EngineInfo
    config: dict[str, float | int | str]
    stats: IndexStats
    shots: tuple[Shot, ...]
    clusters: tuple[Cluster, ...]
    tracklets: tuple[Tracklet, ...]
    sightings: dict[int, Sightings]  # by tracklet number
    exemplars: dict[int, tuple[Exemplar, ...]]  # by tracklet number


def write_index(
    store: Path, contents: IndexContents, before_replace: Callable[[], None] = lambda: None
) -> Path:
    """Write an index as indexing a video does, in one segment, and return its folder."""
    make_store(store)
    unfinished = UnfinishedIndex(store, contents.video.sha256, contents.engine, 0.5, Config())
    try:
        tracklets = tuple(
            (
                replace(item, cluster=0),
                contents.sightings[item.number],
                contents.exemplars.get(item.number, ()),
            )
            for item in contents.tracklets
        )
        after = Checkpoint(contents.video.frame_count, len(contents.shots), len(tracklets))
        unfinished.add(Segment(0, contents.shots, tracklets, after), contents.times, resumable=False)
        unfinished.complete(
            contents.video, contents.engine, contents.config, contents.stats, contents.clusters
        )
        return unfinished.move_into_place(before_replace)
    finally:
        unfinished.close()


def read_contents(folder: Path) -> IndexContents:
    """Everything that an index holds."""
    with VideoIndex(folder) as index:
        tracklets = index.tracklets()
        return IndexContents(
            index.video, index.times(), index.engine, index.config, index.stats, index.shots(), index.clusters(),
            tracklets, index.sightings(item.number for item in tracklets), index.exemplars(),
        )  # fmt: skip


def index_contents(
    path: Path, engine: FaceEngine, config: Config | None = None, store: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> IndexContents:  # fmt: skip
    """What indexing a video finds; without `store` in one that nobody used before."""
    with tempfile.TemporaryDirectory() as place:
        folder = index_video(
            probe(path),
            hash_file(path),
            store or Path(place),
            engine,
            config or Config(),
            lambda done, total: None,
            note,
        )
        return read_contents(folder)


def make_video(path: str = "/videos/movie.mp4", content: str = "movie", frame_count: int = 40) -> Video:
    """A video whose content stands for a word."""
    return Video(
        path=path,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        size=123_456,
        mtime_ns=1_700_000_000_123_456_789,
        width=1280,
        height=720,
        rotation=90,
        sample_aspect_ratio=Fraction(16, 11),
        time_base=Fraction(1, 30_000),
        frame_rate=Fraction(30_000, 1001),
        origin_pts=-2002,
        codec="h264",
        has_audio=True,
        frame_count=frame_count,
        warnings=("3 damaged frames were skipped",),
    )


def make_criterion(threshold: float | None = None) -> Criterion:
    """What counts as the same person by the default engine's calibration, or from this threshold on."""
    value = DEFAULT_THRESHOLD if threshold is None else threshold
    return Criterion(value, 1.0, default_stranger_rates(), fixed=threshold is not None)


def make_exemplar(rng: np.random.Generator, frame: int, dim: int) -> Exemplar:
    """A look at a smooth crop, with a random embedding of unit length."""
    embedding = rng.normal(size=dim)
    return Exemplar(
        frame=frame,
        box=rng.uniform(1, 500, 4).astype(np.float32),
        landmarks=rng.uniform(1, 500, (5, 2)).astype(np.float32),
        score=float(rng.uniform()),
        quality=float(rng.uniform()),
        sharpness=float(rng.uniform()),
        frontality=float(rng.uniform()),
        jpeg=encode_crop(CROP),
        embedding=(embedding / np.linalg.norm(embedding)).astype(np.float32),
    )


def make_sightings(rng: np.random.Generator, start: int, end: int) -> Sightings:
    """A random box in every frame, to a tenth of a pixel as indexes keep them; it may lie partly outside."""
    count = end - start
    return Sightings(
        frames=np.arange(start, end),
        boxes=(rng.integers(-200, 20_000, (count, 4)) / 10).astype(np.float32),
        scores=(rng.integers(0, 1001, count) / 1000).astype(np.float32),
        sources=rng.integers(0, 3, count).astype(np.uint8),
    )


def make_contents(
    seed: int = 0,
    video: Video | None = None,
    shots: int = 2,
    tracklets: int = 3,
    looks: int = 2,
    dim: int = 16,
) -> IndexContents:
    """A whole index's contents: shots of equal length, tracklets anywhere inside them, `looks` of each."""
    rng = np.random.default_rng(seed)
    video = video or make_video()
    edges = np.linspace(0, video.frame_count, shots + 1).astype(int).tolist()
    pts = np.cumsum(rng.integers(1, 3000, video.frame_count))
    rows, sightings, exemplars = [], {}, {}
    for number in range(1, tracklets + 1):
        shot = int(rng.integers(shots))
        start = int(rng.integers(edges[shot], edges[shot + 1]))
        end = int(rng.integers(start, edges[shot + 1])) + 1
        person = 1 + number % 2
        width, score = float(rng.uniform(20, 300)), float(rng.uniform())
        clothes = bytes([number] * CLOTHES_BINS) if number % 2 else None
        rows.append(
            Tracklet(number, shot, start, end, "scene_cut", "occlusion", person, width, score, clothes)
        )
        sightings[number] = make_sightings(rng, start, end)
        if looks:
            frames = rng.integers(start, end, looks).tolist()
            exemplars[number] = tuple(make_exemplar(rng, frame, dim) for frame in frames)
    clusters = tuple(
        Cluster(person, name, tuple(t.number for t in rows if t.cluster == person))
        for person, name in ((1, None), (2, "Grace"))
    )
    return IndexContents(
        video=video,
        times=FrameTimes(pts, np.append(np.diff(pts), 1001)),
        engine=EngineInfo("fake", dim, "a" * 64, "b" * 64),
        config={"min_face": 24, "threshold": 0.1, "shots": "content", "whole": 2.0},
        stats=IndexStats(seconds=1.25, faces=int(sum(map(len, sightings.values()))), searched=40),
        shots=tuple(Shot(n, edges[n], edges[n + 1]) for n in range(shots)),
        clusters=clusters,
        tracklets=tuple(rows),
        sightings=sightings,
        exemplars=exemplars,
    )


def assert_holds(index: VideoIndex, contents: IndexContents) -> None:
    """Every record comes back as it was written, crops as JPEG keeps them."""
    assert index.video == contents.video
    assert index.engine == contents.engine
    assert index.stats == contents.stats
    assert index.config == contents.config
    assert {k: type(v) for k, v in index.config.items()} == {k: type(v) for k, v in contents.config.items()}
    assert index.shots() == contents.shots
    assert index.clusters() == contents.clusters
    assert index.tracklets() == contents.tracklets
    np.testing.assert_array_equal(index.times().pts, contents.times.pts)
    np.testing.assert_array_equal(index.times().durations, contents.times.durations)
    sightings = index.sightings(contents.sightings)
    for number, expected in contents.sightings.items():
        for field in ("frames", "boxes", "scores", "sources"):
            actual = getattr(sightings[number], field)
            np.testing.assert_array_equal(actual, getattr(expected, field))
            assert actual.dtype == getattr(expected, field).dtype
    assert_looks(index, contents)


def assert_looks(index: VideoIndex, contents: IndexContents) -> None:
    exemplars = index.exemplars()
    assert exemplars.keys() == contents.exemplars.keys()
    for number, expected in contents.exemplars.items():
        for actual, wanted in zip(exemplars[number], expected, strict=True):
            for field in ("frame", "score", "quality", "sharpness", "frontality"):
                assert getattr(actual, field) == getattr(wanted, field)
            for field in ("box", "landmarks", "embedding"):
                np.testing.assert_array_equal(getattr(actual, field), getattr(wanted, field))
            assert np.abs(decode_crop(actual.jpeg).astype(int) - decode_crop(wanted.jpeg)).mean() < 2
    looks = index.exemplar_arrays()
    every = [(n, e) for n in sorted(contents.exemplars) for e in contents.exemplars[n]]
    assert looks.tracklets.tolist() == [n for n, _ in every]
    assert looks.frames.tolist() == [e.frame for _, e in every]
    assert looks.widths.tolist() == [e.box[2] for _, e in every]
    assert looks.embeddings.shape == (len(every), contents.engine.dim)
