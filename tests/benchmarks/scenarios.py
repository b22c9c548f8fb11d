"""The list of scenarios: each a name and a small function; rendered once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import portraits
from tests.benchmarks.encode import write_video
from tests.benchmarks.portraits import Portrait
from tests.benchmarks.render import Scene, Seen, frames_of
from tests.benchmarks.truth import describe


class Cast(tuple[Portrait, ...]):
    """The people of a scene, in order; and the two of the whole cast who resemble each other most."""

    __slots__ = ()

    @property
    def alike(self) -> tuple[Portrait, Portrait]:
        return portraits.alike_pair(portraits.load_cast())


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named scene: its group in the tables, how many people it needs, and the function that plans it."""

    name: str
    group: str
    needs: int
    plan: Callable[[Cast], Scene]


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A video with its truth and the photos of the people in it."""

    name: str
    group: str
    video: Path
    truth: dict[str, Any]
    references: dict[str, list[Path]]


SCENARIOS: dict[str, Scenario] = {}


def register(name: str, group: str, needs: int, plan: Callable[..., Scene], **settings: Any) -> None:
    """Add a scenario whose plan is called with the cast and these settings."""
    SCENARIOS[name] = Scenario(name, group, needs, partial(plan, **settings))


def scenario(group: str, needs: int = 1) -> Callable[[Callable[[Cast], Scene]], Callable[[Cast], Scene]]:
    """Decorator: the function's name is the scenario's."""

    def add(plan: Callable[[Cast], Scene]) -> Callable[[Cast], Scene]:
        register(plan.__name__, group, needs, plan)
        return plan

    return add


def all_scenarios() -> dict[str, Scenario]:
    """Every scenario for which there are people enough, in the order of the files."""
    from tests.benchmarks import (  # noqa: F401  they register
        scenes_changes,
        scenes_meeting,
        scenes_occlusion,
        scenes_picture,
    )

    people = len(portraits.load_cast())
    return {name: s for name, s in SCENARIOS.items() if s.needs <= people}


def render(chosen: Scenario) -> Rendered:
    """The scenario as a video file, from the cache when the code and the photos are the same as then."""
    folder = portraits.cache_folder() / f"scenes-{_digest()}"
    folder.mkdir(exist_ok=True)
    video, truth_file = folder / f"{chosen.name}.mp4", folder / f"{chosen.name}.json"
    if not truth_file.exists():
        cast = portraits.load_cast()
        seed = zlib.crc32(chosen.name.encode())
        # Another cast for each scenario, so that no figure hangs on one face.
        first = seed % len(cast)
        scene = chosen.plan(Cast(cast[first:] + cast[:first]))
        faces_by_frame = _write(video, scene, seed)
        references = {p.person: [str(r) for r in p.references] for p in cast}
        part = truth_file.with_suffix(".part")
        part.write_text(json.dumps(describe(video.name, scene, faces_by_frame, references)))
        part.replace(truth_file)
    truth = json.loads(truth_file.read_text())
    photos = {name: [Path(r) for r in person["references"]] for name, person in truth["people"].items()}
    return Rendered(chosen.name, chosen.group, video, truth, photos)


def _write(video: Path, scene: Scene, seed: int) -> list[list[Seen]]:
    faces_by_frame: list[list[Seen]] = []

    def pictures() -> Any:
        for picture, faces, _ in frames_of(scene, seed):
            faces_by_frame.append(faces)
            yield picture

    coding: dict[str, Any] = scene.coding
    write_video(video, pictures(), **coding)
    return faces_by_frame


def _digest() -> str:
    """Changes when the generator's code or its photos change."""
    here = Path(__file__).parent
    makers = ["stage.py", "heads.py", "render.py", "encode.py", "truth.py", "paths.py", "scenarios.py"]
    makers += sorted(p.name for p in here.glob("scenes_*.py"))
    code = b"".join((here / name).read_bytes() for name in makers)
    return hashlib.sha256(code + portraits.cast_digest().encode()).hexdigest()[:12]
