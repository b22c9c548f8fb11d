"""--with and --without: exactly the frames in which others are in the picture, or are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facereel.query.clips.plan import plan_clips
from facereel.query.records import MatchingTracklet, PersonQuery
from facereel.query.search.certainty import Limits
from facereel.query.search.scope import Scope
from facereel.query.search.search import PersonMatches
from facereel.query.search.together import together
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import ClusterSearch
from facereel.store.library.videos import Counts
from facereel.store.model.records import EngineInfo, FrameTimes, Sightings, Tracklet
from tests.factories import make_criterion, make_video

VIDEO = make_video(frame_count=100)
TIMES = FrameTimes(np.arange(100) * 1001, np.full(100, 1001))


def answer(*spans: tuple[int, int, int], folder: str = "index") -> PersonMatches:
    """Matches of tracklets: number, frames [start, end)."""
    matches = []
    for number, start, end in spans:
        tracklet = Tracklet(number, 0, start, end, "entered_frame", "occlusion", number, 90.0, 0.9)
        count = end - start
        sightings = Sightings(
            np.arange(start, end), np.full((count, 4), 50, np.float32), np.ones(count, np.float32),
            np.zeros(count, np.uint8),
        )  # fmt: skip
        matches.append((MatchingTracklet(VIDEO, tracklet, 0.8, 0.4, "photo", "", Path(folder)), sightings))
    engine = EngineInfo("fake", 24, "d", "e")
    scope = Scope(Catalogue(Path("store")), ClusterSearch(24, 0, ()), Counts(), (), engine)
    person = PersonQuery("anna", (), ())
    return PersonMatches(
        person, tuple(matches), (), (), {VIDEO.sha256: TIMES}, scope, Limits(make_criterion(), 1, 1)
    )


def frames(found: PersonMatches) -> list[tuple[int, int]]:
    return [(int(own.frames[0]), int(own.frames[-1]) + 1) for _, own in found.matches]


def test_only_the_frames_in_which_both_are_seen() -> None:
    anna, bert = answer((1, 10, 60)), answer((2, 0, 20), (3, 40, 50), (4, 55, 90))
    assert frames(together(anna, [bert], [])) == [(10, 20), (40, 50), (55, 60)]


def test_everybody_named_has_to_be_there_and_nobody_of_the_others() -> None:
    anna, bert, carl = answer((1, 10, 60)), answer((2, 20, 50)), answer((3, 30, 80))
    assert frames(together(anna, [bert, carl], [])) == [(30, 50)]
    assert frames(together(anna, [bert], [carl])) == [(20, 30)]
    assert frames(together(anna, [], [bert])) == [(10, 20), (50, 60)]
    assert frames(together(anna, [], [])) == [(10, 60)]


def test_a_face_is_no_company_of_itself_and_another_copy_of_the_video_is_another_index() -> None:
    anna = answer((1, 10, 60))
    assert frames(together(anna, [anna], [])) == []
    assert frames(together(anna, [], [anna])) == [(10, 60)]
    assert frames(together(anna, [answer((2, 0, 90), folder="copy")], [])) == []


def test_clips_begin_and_end_with_the_other_person_and_say_so() -> None:
    found = together(answer((1, 10, 60)), [answer((2, 20, 90))], [])
    (clip,), _ = plan_clips(found.matches, found.times)
    assert (clip.start, clip.end) == (20, 60)
    assert (clip.start_reason, clip.end_reason) == ("other_person", "occlusion")
    assert clip.sightings.frames.tolist() == list(range(20, 60))
    assert len(clip.crops) == len(clip.ticks) - 1 == 40
