"""Several machines index one folder: each its part, each video in exactly one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facereel.indexer.jobs.paths import Part, find_videos
from facereel.store.model.errors import OptionError


@given(st.text(), st.integers(1, 40))
def test_a_video_is_in_exactly_one_part(name: str, count: int) -> None:
    assert sum(Part(number, count).has(name) for number in range(1, count + 1)) == 1


def test_parts_are_the_same_everywhere(tmp_path: Path) -> None:
    """By the path below the folder, however that is called; these numbers are those of every other version."""
    names = [
        "a.mp4",
        "b.mp4",
        "series/1.mkv",
        "series/2.mkv",
        "series/Köln.mov",
        "trip \N{ROMAN NUMERAL FOUR}.mp4",
    ]
    assert [next(n for n in range(1, 6) if Part(n, 5).has(name)) for name in names] == [4, 4, 2, 5, 2, 5]
    assert [Part(n, 5).has("series/Ko\N{COMBINING DIAERESIS}ln.mov") for n in range(1, 6)] == [
        Part(n, 5).has("series/Köln.mov") for n in range(1, 6)
    ]
    parts = []
    for mount in ("mnt/archive", "Volumes/archive 1"):
        folder = tmp_path / mount
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        found = [find_videos([folder], Part(n, 3)) for n in (1, 2, 3)]
        assert sorted(path for part in found for path in part) == find_videos([folder])
        parts.append([[Path(path).relative_to(folder) for path in part] for part in found])
    assert parts[0] == parts[1]
    assert all(parts[0])


def test_a_name_that_leads_nowhere_is_in_every_part(tmp_path: Path) -> None:
    """An archive that is not mounted on one machine is said there, whatever its part."""
    for number in (1, 2, 3):
        assert find_videos([tmp_path / "gone"], Part(number, 3)) == [tmp_path / "gone"]


@pytest.mark.parametrize(
    "text", ["", "2", "0/3", "4/3", "1/0", "-1/3", "1/3 ", "a/b", "1/2/3", "٢/٣", "1.0/2"]
)
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(OptionError, match="part"):
        Part.parse(text)
