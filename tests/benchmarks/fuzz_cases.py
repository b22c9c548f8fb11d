"""One hostile case after another: what is made, what the program makes of it, and whether that may be.

What must not be: an error that is not one of ours, or not one line with a remedy; anything left behind by a
refusal; an index that looks complete but is not; damage that is read as if it were none.
"""

from __future__ import annotations

import os
import shutil
import traceback
from pathlib import Path

import av
import numpy as np

from facereel.indexer.jobs.events import Job
from facereel.indexer.jobs.job import run_job
from facereel.query import videos
from facereel.query.clips import render
from facereel.query.clips.plan import ClipOptions
from facereel.query.people.photos import group_photos, read_people
from facereel.query.people.reference import read_reference
from facereel.query.search import search
from facereel.query.search.scope import scope_of
from facereel.store.files.digest import hash_file
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.config import Config
from facereel.store.model.errors import FaceReelError
from tests.benchmarks import fuzz_photos, fuzz_videos
from tests.benchmarks.fuzz_harm import HEADERS, MUTATIONS, NAMES, Rng
from tests.benchmarks.fuzz_outcome import Outcome, bad_message, refused
from tests.benchmarks.fuzz_stores import harmed_index, harmed_unfinished
from tests.factories import make_criterion
from tests.fake_engine import FakeEngine, write_photo

# Kinds of cases and how many of a hundred they are.
SHARES = {
    "film": 50, "splice": 6, "times": 6, "sizes": 3, "streams": 1, "playlist": 2, "huge": 0.4, "billion": 1.6,
    "endless": 2, "growing": 1, "photo": 6, "bomb": 4, "exif": 4, "disguise": 1, "database": 6, "vectors": 2,
    "library": 2, "unfinished": 2, "name": 2,
}  # fmt: skip
CUT = 0.3  # of the indexed films are also cut


class Range:
    """The films and an index of one of them, to which harm is done again and again."""

    def __init__(self, folder: Path) -> None:
        """Make them below a folder."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.films = fuzz_videos.make_films(folder)
        self.engine = FakeEngine()
        done = run_job(Job(folder / "plain.mp4", folder / "store", Config()), self.engine)
        self.index = done.folder
        self.people = read_people(group_photos([write_photo(folder / "red.png", "red")]), self.engine)

    def run(self, number: int, seed: int) -> Outcome:
        """One case."""
        rng = np.random.default_rng([seed, number])
        kind = str(rng.choice(list(SHARES), p=np.array(list(SHARES.values())) / sum(SHARES.values())))
        place = self.folder / f"case{number}"
        place.mkdir()
        try:
            return self._run(kind, place, rng)
        except Exception:
            return Outcome(kind, "escaped", traceback.format_exc())
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _run(self, kind: str, place: Path, rng: Rng) -> Outcome:
        if kind in ("photo", "bomb", "exif", "disguise"):
            return self._photo(kind, place, rng)
        if kind in ("database", "vectors", "library"):
            return harmed_index(kind, self.index, place, rng)
        if kind == "unfinished":
            return harmed_unfinished(place, rng)
        if kind == "endless":
            return self._endless(place, rng)
        if kind in ("film", "splice", "name"):
            return self._harmed(kind, place, rng)
        odd = place / f"odd{rng.choice(['.mkv', '.mp4', '.ts']) if kind != 'sizes' else '.ts'}"
        if kind == "growing":
            with fuzz_videos.growing(odd.with_suffix(".ts"), self.films["h264.ts"], rng):
                return self._film(kind, odd.with_suffix(".ts"), 0, rng, growing=True)
        if kind == "billion":
            return self._film(kind, fuzz_videos.billion_frames(odd, self.films, rng), 0, rng)
        make = {
            "times": fuzz_videos.odd_times, "sizes": fuzz_videos.size_change, "huge": fuzz_videos.huge_pictures,
            "streams": fuzz_videos.many_streams, "playlist": fuzz_videos.playlist,
        }[kind]  # fmt: skip
        return self._film(kind, make(odd, rng), 0, rng)

    def _harmed(self, kind: str, place: Path, rng: Rng) -> Outcome:
        """A film with harm done to it, two in one, or one with an odd name."""
        if kind == "splice":
            name, data = fuzz_videos.spliced(self.films, rng)
        elif kind == "film":
            name, harm = str(rng.choice(list(self.films))), str(rng.choice(list(MUTATIONS)))
            kind, data = f"{name} {harm}", MUTATIONS[harm](self.films[name], rng)
        else:
            name, data = NAMES[int(rng.integers(len(NAMES)))], self.films["plain.mp4"]
        (place / name).write_bytes(data)
        return self._film(kind, place / name, 0 if kind == "splice" else fuzz_videos.FRAMES, rng)

    def _film(self, kind: str, path: Path, whole: int, rng: Rng, growing: bool = False) -> Outcome:
        """Index a film; `whole` is how many frames it had before it was harmed, 0 when nobody knows."""
        store = path.parent / "store"
        try:
            done = run_job(Job(path, store, Config()), self.engine)
        except FaceReelError as error:
            left = os.listdir(store) if store.is_dir() else []
            return refused(kind, error, f"left {left}" if left else "")
        with Catalogue(store).find(done.folder.name) as index:
            video, warned = index.video, bool(index.video.warnings)
        if growing:
            same = hash_file(path, video.size) == video.sha256
            return (
                Outcome(kind, "ok") if same else Outcome(kind, "silent", "an index of what the file is not")
            )
        health = videos.verify(done.folder)
        if health.problems:
            return Outcome(kind, "unsound index", str(health.problems))
        if not warned and done.frames != (plain := plain_count(path)):
            return Outcome(kind, "silent", f"{done.frames} frames, plain decoding gives {plain}")
        # A film without a length in its header may end anywhere; a header that was harmed may say anything.
        short = done.duration < 0.99 * fuzz_videos.SECONDS
        open_end = short and path.name in fuzz_videos.OPEN_ENDED
        if not warned and done.frames < whole and not (open_end or done.frames < 5 or kind.endswith(HEADERS)):
            return Outcome(kind, "silent", f"{done.frames} of {whole} frames and no warning")
        if rng.random() < CUT and (finding := self._cut(store, path.parent)):
            return Outcome(kind, "cut", finding)
        return Outcome(kind, "warned" if warned else "ok")

    def _cut(self, store: Path, place: Path) -> str:
        """Ask for who is in the film and cut it; what is wrong with the clips, if anything."""
        where = scope_of(Catalogue(store), [], self.engine.info)
        (answer,) = search.search(self.people, where, make_criterion())
        try:
            done = render.render(answer, ClipOptions(), place / "out")
        except FaceReelError as error:
            return bad_message(error) or ("a result is left" if (place / "out").exists() else "")
        for clip in done.document["clips"]:
            count = plain_count(place / "out" / clip["file"])
            if count != len(clip["frames"]):
                return f"{count} frames in a clip of {len(clip['frames'])}"
        return ""

    def _photo(self, kind: str, place: Path, rng: Rng) -> Outcome:
        name, data = {
            "bomb": lambda: fuzz_photos.bomb(rng), "photo": lambda: fuzz_photos.odd_photo(place, rng),
            "exif": lambda: fuzz_photos.odd_exif(place, rng), "disguise": lambda: fuzz_photos.disguised(rng),
        }[kind]()  # fmt: skip
        (place / name).write_bytes(data)
        try:
            read_reference(place / name, self.engine)
        except FaceReelError as error:
            return refused(kind, error, "a sound picture was refused" if kind == "exif" else "")
        return Outcome(kind, "ok")

    def _endless(self, place: Path, rng: Rng) -> Outcome:
        """What has no end, as a film and as a photo: both are to be refused, at once."""
        path = fuzz_videos.endless(place / "endless.mp4", rng)
        said = []
        for ask in (
            lambda: run_job(Job(path, place / "store", Config()), self.engine),
            lambda: read_reference(path, self.engine),
        ):
            try:
                ask()
                return Outcome("endless", "taken", f"{path} was read")
            except FaceReelError as error:
                said.append(bad_message(error))
        return Outcome("endless", "refused", "".join(said))


def plain_count(path: Path) -> int:
    """Frames that FFmpeg gives when nothing but decoding is done."""
    count = 0
    with av.open(str(path.resolve()), metadata_errors="replace") as container:
        packets = container.demux(container.streams.video[0])
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return count
                count += len(packet.decode())
            except av.error.FFmpegError:
                if packet is None:
                    return count
            except OSError:
                return count
