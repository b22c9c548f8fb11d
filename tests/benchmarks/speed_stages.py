"""Where indexing spends the processor's time, and how much it searches and embeds.

Measured from outside: functions of the program are wrapped while it runs.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.benchmarks.stopwatch import Counter

# Where each stage's work is done. What is called in another's stage counts for its own.
STAGES = {
    "facereel.indexer.media.frame:Frame.image": "convert",
    "facereel.indexer.media.frame:Frame.grey": "convert",
    "facereel.indexer.media.frame:Frame.small": "convert",
    "facereel.indexer.media.frame:Frame.part": "convert",
    "facereel.indexer.media.frame:SmallPicture.image": "convert",
    "facereel.indexer.media.frame:SmallPicture.part": "convert",
    "facereel.indexer.scan.scan:thumbnail_change": "shots",
    "facereel.indexer.shots.adaptive:AdaptiveShotDetector.push": "shots",
    "facereel.indexer.shots.adaptive:AdaptiveShotDetector.finish": "shots",
    "facereel.indexer.shots.adaptive:AdaptiveShotDetector.cuts": "shots",
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.detect": "detect",
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.detect_regions": "detect",
    "facereel.indexer.scan.stretch:Stretch.find_faces": "interpolate",
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.embed": "embed",
    "facereel.indexer.track.tracker:Tracker.step": "track",
    "facereel.indexer.track.tracker:Tracker.finish": "track",
    "facereel.indexer.scan.scan:cut_out": "exemplars",
    "facereel.indexer.scan.scan:clothes_histogram": "clothes",
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.landmarks": "landmarks",
    "facereel.indexer.segments:choose_exemplars": "exemplars",
    "facereel.store.resume.unfinished:UnfinishedIndex.add": "write",
}
ORDER = (
    "convert", "shots", "detect", "interpolate", "track", "exemplars", "clothes", "landmarks", "embed", "write",
)  # fmt: skip
SEARCHES, REGIONS, EMBEDDED, ALIGNED = "searches", "regions", "crops embedded", "crops aligned"
COUNTERS: Mapping[str, Counter] = {
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.detect": Counter(SEARCHES, lambda engine, image: 1),
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.detect_regions": Counter(
        REGIONS, lambda engine, images: len(images)
    ),
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.embed": Counter(
        EMBEDDED, lambda engine, crops, mirrored=True: len(crops) * (1 + mirrored)
    ),
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.landmarks": Counter(
        ALIGNED, lambda engine, crops: len(crops)
    ),
}


def by_stage(seconds: Mapping[str, float], whole: float, decode: float) -> dict[str, float]:
    """The processor time of a run by stage, with decoding and what no stage accounts for."""
    known = {stage: seconds.get(stage, 0.0) for stage in ORDER}
    return {"decode": decode, **known, "rest": whole - decode - sum(known.values())}
