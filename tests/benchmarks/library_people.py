"""The part about people of a library: films cut in parts and photos as videos of their own, in several orders.

Each part of a film is a video of its own, with the tracklets of its shots clustered without the others; each photo of
the faces folder is a video of one face. B-cubed counts clusters, all alike, over the whole library.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from facereel.indexer.engines.registry import load_engine
from facereel.indexer.identity.clustering import make_clusters, tracklet_identity
from facereel.indexer.identity.exemplars import embeddings_and_qualities
from facereel.query.people.reference import read_reference
from facereel.store.index.reader import read_video
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import FaceReelError
from facereel.store.model.records import Cluster, Sightings
from tests.benchmarks.figures import at_least
from tests.benchmarks.media_truth import films, footage_videos, partial_films
from tests.benchmarks.portraits import people_folder, photos
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import index_folder, indexed
from tests.benchmarks.scoring import RIGHT, Truth, boxes_by_frame, iou
from tests.factories import IndexContents, make_contents, make_video, read_contents, write_index

ORDERS = 5  # in which the videos come
PARTS = 2  # of each film
PHOTO_QUALITY = 0.5  # of an exemplar whose face the recogniser is sure of
# The same person under two names.
SAME = {("hamilton", "obama"): "obama", ("obama", "obama"): "obama", ("photos", "p20"): "obama"}

Who = tuple[str, str]


def library_people(only: str) -> Iterator[Report]:
    """Precision and recall of people over a library of films in parts and of photos, joined as they come."""
    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary) / "all"
        who = _films(store, only) | _photos(store, only)
        folders = sorted(store.glob("*-*"))
        rows = [_joined(folders, who, seed) for seed in range(ORDERS if folders else 0)]
    if rows:
        figures = [
            at_least(
                "B-cubed precision of people, the lowest of all orders", min(r["precision"] for r in rows), 1
            )
        ]
        yield "people of a library", rows, figures


def _joined(folders: Sequence[Path], who: Mapping[tuple[str, int], Who], seed: int) -> dict[str, Any]:
    """Let the videos come one by one; who is one person then?"""
    say(f"order {seed}")
    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary) / "store"
        store.mkdir()
        catalogue = Catalogue(store)
        for place in np.random.default_rng(seed).permutation(len(folders)).tolist():
            shutil.copytree(folders[place], store / folders[place].name)
            catalogue.refresh([store / folders[place].name])
        owners = {
            (folder.name, cluster): one.id
            for folder in folders
            for cluster, one in catalogue.people.people_of(read_video(folder)[0].sha256).items()
        }
    both = Counter((owners[key], name) for key, name in who.items() if key in owners)
    people, names, of_owner = Counter[int](), Counter[Who](), defaultdict(list)
    for (owner, name), count in both.items():
        people[owner] += count
        names[name] += count
        of_owner[owner].append("/".join(name))
    total = people.total()
    return {
        "order": seed, "videos": len(folders), "clusters": total, "people": len(people), "names": len(names),
        "precision": sum(count * count / people[owner] for (owner, _), count in both.items()) / total,
        "recall": sum(count * count / names[name] for (_, name), count in both.items()) / total,
        "mixed": "; ".join(" + ".join(own) for own in of_owner.values() if len(own) > 1) or None,
    }  # fmt: skip


def _films(store: Path, only: str) -> dict[tuple[str, int], Who]:
    """Write the parts of every film; who each cluster is by the film's truth, else by the whole film's clusters."""
    truths = {film.video: film.truth for film in films(only)} | {
        f.video: f.truth for f in partial_films(only)
    }
    who: dict[tuple[str, int], Who] = {}
    for video in footage_videos(only):
        say(video.name)
        whole = read_contents(index_folder(indexed(video)))
        names = _names(whole, truths.get(video))
        for number, shots in enumerate(np.array_split([shot.number for shot in whole.shots], PARTS)):
            part = _part(whole, set(shots.tolist()), f"{video.stem}{number}")
            if not part.tracklets:
                continue
            folder = write_index(store, part).name
            for cluster in part.clusters:
                frames = Counter[str]()
                for item in part.tracklets:
                    if item.number in cluster.tracklets:
                        frames[names[item.number]] += item.end - item.start
                name = video.stem, frames.most_common(1)[0][0]
                who[folder, cluster.number] = ("", SAME[name]) if name in SAME else name
    return who


def _names(whole: IndexContents, truth: Truth | None) -> dict[int, str]:
    """Who each tracklet is: on whose boxes most of its frames lie, else who most of its cluster is."""
    places = defaultdict(list)
    for name in truth["people"] if truth else ():
        for frame, box in boxes_by_frame(truth or {}, name).items():
            places[frame].append((name, box))
    known = {}
    for number, own in whole.sightings.items():
        names = Counter(
            name
            for frame, box in zip(own.frames.tolist(), own.boxes.tolist(), strict=True)
            for name, other in places.get(frame, ())
            if iou(box, other) >= RIGHT
        )
        if names:
            known[number] = names.most_common(1)[0][0]
    found: dict[int, str] = {}
    for cluster in whole.clusters:
        most = Counter(known[number] for number in cluster.tracklets if number in known).most_common(1)
        rest = most[0][0] if most else f"cluster {cluster.number}"
        found |= {number: known.get(number, rest) for number in cluster.tracklets}
    return found


def _part(whole: IndexContents, shots: set[int], name: str) -> IndexContents:
    """Some shots of a film as a video of its own."""
    tracklets = [item for item in whole.tracklets if item.shot in shots and item.number in whole.exemplars]
    identities = [
        tracklet_identity(
            item, whole.sightings[item.number].boxes[[0, -1]],
            *embeddings_and_qualities(whole.exemplars[item.number]),
            [one.face_probability for one in whole.exemplars[item.number]],
            whole.times.span(item.start, item.end, whole.video.time_base),
        )
        for item in tracklets
    ]  # fmt: skip
    clusters = tuple(
        Cluster(one.number, None, tuple(tracklets[place - 1].number for place in one.tracklets))
        for one in make_clusters(identities)
    )
    of = {number: one.number for one in clusters for number in one.tracklets}
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return replace(
        whole, video=replace(whole.video, path=f"/videos/{name}.mp4", sha256=sha256), clusters=clusters,
        tracklets=tuple(replace(item, cluster=of[item.number]) for item in tracklets),
        sightings={number: whole.sightings[number] for number in of},
        exemplars={number: whole.exemplars[number] for number in of},
    )  # fmt: skip


def _photos(store: Path, only: str) -> dict[tuple[str, int], Who]:
    """Write each photo of the faces folder as a video of one face."""
    engine, who = load_engine(), {}
    for path in [
        path for person in sorted(people_folder().glob("*")) for path in photos(person) if only in str(path)
    ]:
        try:
            face = read_reference(path, engine)
        except FaceReelError:
            continue
        person = path.parent.name
        made = make_contents(1, make_video(f"/{path.stem}.mp4", str(path), 25), 1, 1, 1, engine.info.dim)
        look = replace(
            made.exemplars[1][0], embedding=face.embedding, quality=PHOTO_QUALITY * face.quality, frame=0
        )
        boxes = np.tile(np.array([50, 50, 100, 100], np.float32), (25, 1))
        sightings = Sightings(np.arange(25), boxes, np.ones(25, np.float32), np.zeros(25, np.uint8))
        contents = replace(
            made, engine=engine.info, config={"threshold": engine.threshold.value}, sightings={1: sightings},
            tracklets=(replace(made.tracklets[0], start=0, end=25, cluster=1),), exemplars={1: (look,)},
            clusters=(Cluster(1, None, (1,)),),
        )  # fmt: skip
        who[write_index(store, contents).name, 1] = (
            ("", SAME["photos", person]) if ("photos", person) in SAME else ("photos", person)
        )
    return who
