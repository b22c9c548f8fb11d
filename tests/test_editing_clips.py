"""Clips for editing programs: what reaches beyond a match, what shape and format the files have, and what they say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from facereel.api import ChangedIndexError, Clip, Library
from facereel.query.command_line import QueryCommand
from tests.fake_engine import backdrop, draw_face, write_film, write_photo
from tests.program import Run

FAKE = ("--engine", "fake")
SHOT = 60  # frames, of which the person is there in part of the first, and in all of the second
VISIBLE = range(15, 40)


@pytest.fixture(scope="module")
def place(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film of two shots, its index, and a photo of the person in it."""
    folder = tmp_path_factory.mktemp("editing")

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for shot in range(2):
            ground = backdrop(shade=(80, 190)[shot], seed=shot)
            for frame in range(SHOT):
                picture = ground.copy()
                if shot == 1 or frame in VISIBLE:
                    draw_face(picture, "red", (130, 60, 40, 40))
                yield picture

    film = write_film(folder / "film.mp4", pictures(), sound=True)
    write_photo(folder / "red.png", "red")
    assert run("index", film, "--store", folder / "store", *FAKE).exit_code == 0
    return folder


def query(run: Run, place: Path, out: Path, *words: str | Path) -> dict[str, Any]:
    """The metadata of a query's result."""
    result = run("query", place / "red.png", "--store", place / "store", *FAKE, "--out", out, *words)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads((out / "red" / "metadata.json").read_text())
    return document


def luma(path: Path) -> list[NDArray[Any]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def spans(document: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    fields = ("start_frame", "end_frame", "person_start_frame", "person_end_frame")
    return [tuple(clip[field] for field in fields) for clip in document["clips"]]


def test_handles_are_in_the_files_and_stop_at_the_cut(run: Run, place: Path, tmp_path: Path) -> None:
    document = query(run, place, tmp_path, "--handles", "12", "--crop", "none", "--export", "edl")
    first, last = VISIBLE[0], VISIBLE[-1] + 1
    assert spans(document) == [(first - 12, last + 12, first, last), (SHOT, 2 * SHOT, SHOT, 2 * SHOT)]
    assert [clip["exact"] for clip in document["clips"]] == [False, True]
    source = luma(place / "film.mp4")
    for clip in document["clips"]:
        pictures = luma(tmp_path / "red" / clip["file"])
        own = source[clip["start_frame"] : clip["end_frame"]]
        assert len(pictures) == len(own)
        assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(pictures, own, strict=True)) < 2
    assert "00:00:00:03 00:00:02:02" in (tmp_path / "red" / "red.edl").read_text()


def test_whole_shots_go_from_cut_to_cut(run: Run, place: Path, tmp_path: Path) -> None:
    document = query(run, place, tmp_path, "--whole-shots", "--aspect", "9:16")
    assert [span[:2] for span in spans(document)] == [(0, SHOT), (SHOT, 2 * SHOT)]
    for clip in document["clips"]:
        pictures = luma(tmp_path / "red" / clip["file"])
        assert len(pictures) == SHOT
        assert pictures[0].shape == (clip["crop"]["height"], clip["crop"]["width"])
        assert clip["crop"]["width"] / clip["crop"]["height"] == pytest.approx(9 / 16, rel=0.02)


def test_the_whole_picture_in_another_size(run: Run, place: Path, tmp_path: Path) -> None:
    document = query(run, place, tmp_path, "--crop", "none", "--size", "160")
    assert {(clip["crop"]["width"], clip["crop"]["height"]) for clip in document["clips"]} == {(160, 90)}
    clip = document["clips"][0]
    pictures = luma(tmp_path / "red" / clip["file"])
    small = luma(place / "film.mp4")[clip["start_frame"]].reshape(90, 2, 160, 2).mean(axis=(1, 3))
    assert np.abs(pictures[0] - small).mean() < 2


def test_a_dry_run_says_what_reaches_beyond(run: Run, place: Path) -> None:
    words = ("query", place / "red.png", "--store", place / "store", *FAKE, "--dry-run", "--handles", "5")
    table = run(*words).stdout
    assert "frames before  frames after" in table
    assert any(line.split()[-2:] == ["5", "5"] for line in table.splitlines())
    (result,) = json.loads(run(*words, "--json").stdout)["results"]
    assert spans(result)[0] == (VISIBLE[0] - 5, VISIBLE[-1] + 6, VISIBLE[0], VISIBLE[-1] + 1)


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        (("--handles", "3", "--whole-shots"), 2, "give one of them"),
        (("--codec", "copy", "--size", "640"), 2, "--codec h264"),
        (("--codec", "prores", "--format", "mp4"), 2, "--format mov"),
        (("--codec", "av1"), 1, "h264, prores, copy"),
        (("--handles", "-3"), 1, "0 to 10000"),
        (("--aspect", "3:4"), 1, "9:16"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_the_remedy(
    run: Run, place: Path, words: tuple[str, ...], code: int, remedy: str
) -> None:
    result = run("query", place / "red.png", "--store", place / "store", *FAKE, *words)
    assert result.exit_code == code
    assert remedy in result.stderr


def test_a_copy_says_what_it_adds_and_its_timeline_has_the_match_alone(
    run: Run, place: Path, tmp_path: Path
) -> None:
    words = ("query", place / "red.png", "--store", place / "store", *FAKE, "--codec", "copy")
    planned = json.loads(run(*words, "--dry-run", "--json").stdout)["results"][0]["clips"]
    result = run(*words, "--out", tmp_path, "--export", "edl")
    assert "3 frames before" in result.stdout  # key frames are twelve apart
    document = json.loads((tmp_path / "red" / "metadata.json").read_text())
    assert spans(document) == spans({"clips": planned})
    first, *_ = document["clips"]
    assert (first["start_frame"], first["exact"], first["codec"]) == (12, False, "copy")
    assert len(luma(tmp_path / "red" / first["file"])) == first["end_frame"] - 12
    assert "00:00:00:15 00:00:01:15" in (tmp_path / "red" / "red.edl").read_text()


def test_boxes_beside_whole_shots_are_those_of_the_matches(run: Run, place: Path, tmp_path: Path) -> None:
    query(run, place, tmp_path, "--whole-shots", "--export", "coco")
    boxes = json.loads((tmp_path / "red" / "red_coco.json").read_text())["annotations"]
    assert len(boxes) == len(VISIBLE) + SHOT


def test_the_equal_command_has_the_options() -> None:
    command = QueryCommand(person="Ross", aspect="9:16", handles=12, whole_shots=True)
    assert str(command) == "facereel query --person Ross --aspect 9:16 --handles 12 --whole-shots"
    command = QueryCommand(person="Ross", format="mov", codec="prores")
    assert str(command) == "facereel query --person Ross --format mov --codec prores"


def test_one_content_under_two_names_is_cut_under_both(run: Run, place: Path, tmp_path: Path) -> None:
    """As in a store into which another one was copied."""
    both = Path(shutil.copytree(place / "store", tmp_path / "both"))
    again = Path(shutil.copy(place / "film.mp4", tmp_path / "again.mp4"))
    assert run("index", again, "--store", tmp_path / "other", *FAKE).exit_code == 0
    (folder,) = (path for path in (tmp_path / "other").iterdir() if path.is_dir())
    shutil.copytree(folder, both / folder.name)
    result = Library(both, engine="fake").find(place / "red.png").cut(tmp_path / "red")
    assert {clip.match.video.name for clip in result.clips} == {"film.mp4", "again.mp4"}
    assert all(clip.file is not None and clip.file.is_file() for clip in result.clips)


@pytest.mark.parametrize("command", ["forget", "remove", "index --force"])
def test_nobody_is_cut_who_is_forgotten_meanwhile(
    run: Run, place: Path, tmp_path: Path, command: str
) -> None:
    store = Path(shutil.copytree(place / "store", tmp_path / "store"))
    answer = Library(store, engine="fake").find(place / "red.png")
    words = {
        "forget": ("forget", place / "red.png", "--yes", "--out", tmp_path, *FAKE),
        "remove": ("remove", "film.mp4"),
        "index --force": ("index", place / "film.mp4", "--force", *FAKE),
    }[command]

    def meanwhile(clip: Clip) -> None:
        if clip.match == answer.matches[0]:
            assert run(*words, "--store", store).exit_code == 0

    if command != "index --force":
        with pytest.raises(ChangedIndexError, match="run it again"):
            answer.cut(tmp_path / "out", on_clip=meanwhile)
        assert not (tmp_path / "out").exists()
    else:  # the new index has the same faces
        assert len(answer.cut(tmp_path / "out", on_clip=meanwhile).clips) == len(answer.matches)


def test_shots_of_another_index_than_the_one_that_was_searched_are_not_used(
    run: Run, place: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(place / "store", tmp_path / "store"))
    answer = Library(store, engine="fake").find(place / "red.png")
    assert run("index", place / "film.mp4", "--store", store, *FAKE, "--force").exit_code == 0
    with pytest.raises(ChangedIndexError, match="run it again"):
        answer.cut(tmp_path / "red", handles=2)
    assert not (tmp_path / "red").exists()
