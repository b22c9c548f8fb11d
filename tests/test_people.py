"""The commands `people ...`, and questions about people of the library, from the outside."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from facereel.api import Library, OptionError
from facereel.query.library.decisions import LibraryDecisions
from facereel.query.records import PersonQuery
from facereel.store.files.folders import index_folders
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.decisions import Ruling
from facereel.store.library.joining import rulings_of_tracklets
from facereel.store.library.people import LibraryPeople
from tests.fake_engine import film_of_two
from tests.program import Run

FAKE = ("--engine", "fake")


class Program:
    """The commands on one store."""

    def __init__(self, run: Run, store: Path) -> None:
        self._run, self.store = run, store

    def __call__(self, *words: str | Path, code: int = 0) -> str:
        """What a command prints; its exit code has to be `code`."""
        result = self._run(*words, "--store", self.store)
        assert result.exit_code == code, result.output
        return str(result.stdout if code == 0 else result.stderr)

    def output(self, *words: str | Path, code: int = 0) -> str:
        """All that a command prints."""
        result = self._run(*words, "--store", self.store)
        assert result.exit_code == code, result.output
        return str(result.output)

    def json(self, *words: str | Path) -> Any:
        return json.loads(self(*words, "--json"))

    def clips(self, *words: str | Path) -> list[list[tuple[int, int, int, str]]]:
        """Of each person: tracklet, frames [start, end), how it was matched."""
        document = self.json("query", *words, *FAKE, "--dry-run")
        return [
            [
                (clip["tracklet"], clip["start_frame"], clip["end_frame"], clip["matched"])
                for clip in one["clips"]
            ]
            for one in document["results"]
        ]


@pytest.fixture
def program(run: Run, store: Path) -> Program:
    """A store of two.mp4: red is tracklets 1 and 2, green is tracklet 3; red and green share the second shot."""
    return Program(run, store)


def ids(program: Program) -> tuple[int, int]:
    """The ids of red and green."""
    red, green = (program.json("people", "show", f"two.mp4#t{number}")["person"]["id"] for number in (1, 3))
    return red, green


def test_people_are_listed_named_shown_and_drawn(program: Program, tmp_path: Path) -> None:
    listed = program.json("people")["people"]
    assert [(one["name"], one["videos"], one["clusters"]) for one in listed] == [(None, 1, 1), (None, 1, 1)]
    assert listed[0]["seconds"] == pytest.approx(2.4)
    program("people", "name", "two.mp4#t1", "Anna")
    assert [one["name"] for one in program.json("people")["people"]] == ["Anna", None]
    assert len(program.json("people", "--unnamed")["people"]) == 1
    shown = program.json("people", "show", "anna")
    assert (shown["person"]["name"], shown["appearances"][0]["video"]) == ("Anna", "two.mp4")
    program("people", "sheet", "--out", tmp_path / "people.png")
    assert (tmp_path / "people.png").read_bytes().startswith(b"\x89PNG")
    assert "Anna" in program("info", "two.mp4")
    sheet = program.json("faces", "two.mp4", "--out", tmp_path / "faces.png")
    assert [row["name"] for row in sheet["clusters"]] == ["Anna", None]


def test_everything_that_is_stored_of_a_person_is_given(program: Program) -> None:
    program("people", "name", "two.mp4#t1", "Anna")
    data = program.json("people", "show", "Anna", "--data")
    (video,) = data["videos"]
    assert [tracklet["tracklet"] for tracklet in video["tracklets"]] == [1, 2]
    assert all(len(one["boxes"]) == one["end_frame"] - one["start_frame"] for one in video["tracklets"])
    assert all(face["crop"] and face["embedding"] for one in video["tracklets"] for face in one["exemplars"])
    assert data["decisions"][0]["name"] == "Anna"


def test_a_person_is_an_id_a_name_a_face_or_a_photo(program: Program, photos: Path) -> None:
    red, green = ids(program)
    program("people", "name", str(red), "Anna")
    for word in (str(red), "Anna", "ANNA", "two.mp4#t2", photos / "red.png"):
        assert program.json("people", "show", word, *FAKE)["person"]["id"] == red
    folder = index_folders(program.store)[0].name
    assert program.json("people", "show", f"{folder}#t3")["person"]["id"] == green


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("Ana", "did you mean Anna?"), ("99", "no person 99"), ("two.mp4", "two.mp4#1"),
        ("two.mp4#9", "no cluster 9"), ("two.mp4#t9", "no tracklet 9"), ("nobody.jpg", "no photo nobody.jpg"),
    ],
)  # fmt: skip
def test_a_word_that_means_nobody_is_an_error_with_a_remedy(program: Program, word: str, text: str) -> None:
    program("people", "name", "two.mp4#t1", "Anna")
    error = program("people", "show", word, code=1)
    assert error.count("\n") == 1
    assert text in error


@pytest.mark.parametrize("name", ["two.mp4#1", "#t12", "movie.jpg", "two.MP4"])
def test_a_name_that_would_hide_a_face_or_a_file_is_refused(program: Program, name: str) -> None:
    assert "looks like a" in program("people", "name", "two.mp4#t1", name, code=1)
    assert program.json("people", "log")["decisions"] == []


def test_a_name_of_two_people_is_refused_and_one_that_two_have_names_their_ids(program: Program) -> None:
    red, green = ids(program)
    program("people", "name", str(red), "Anna")
    error = program("people", "name", str(green), "anna", code=1)
    assert f"people merge --store {program.store} {red} {green}" in error
    Library(program.store).people.stored.name(green, "Anna", another=True)
    assert f"{red} (Anna), {green} (Anna)" in program("people", "show", "Anna", code=1)


def test_a_rejected_face_never_matches_and_an_accepted_one_always_does_until_undone(
    program: Program, photos: Path
) -> None:
    red, green = ids(program)
    assert program.clips(photos / "red.png") == [[(1, 0, 30, "photo"), (2, 30, 60, "photo")]]
    program("people", "reject", str(red), "two.mp4#t1")
    assert program.clips(photos / "red.png") == [[(2, 30, 60, "photo")]]
    assert program.clips("--person", str(red)) == [[(2, 30, 60, "photo")]]
    program("people", "undo")
    assert len(program.clips(photos / "red.png")[0]) == 2
    assert program.clips(photos / "green.png") == [[(3, 30, 60, "photo")]]
    program("people", "accept", str(red), "two.mp4#t3")
    # Nobody is twice in one frame: who is in a frame with an accepted face is somebody else, however similar.
    assert program.clips(photos / "red.png") == [[(3, 30, 60, "decision")]]
    assert program.clips("--person", str(red)) == [[(1, 0, 30, "photo"), (3, 30, 60, "decision")]]
    program("people", "undo")
    assert program.clips("--person", str(green)) == [[(3, 30, 60, "photo")]]


def test_decisions_outlive_a_new_index_another_engine_and_a_moved_store(
    program: Program, run: Run, photos: Path, film: Path, tmp_path: Path
) -> None:
    red, _ = ids(program)
    program("people", "accept", str(red), "two.mp4#t3")
    program("people", "name", str(red), "Bert")
    expected = [[(1, 0, 30, "photo"), (3, 30, 60, "decision")]]
    program("index", film, "--force", *FAKE)
    assert program.clips("--person", "Bert") == expected
    program("reembed", "all", "--engine", "fake-new")
    program("reembed", "all", *FAKE)
    assert program.clips("--person", "Bert") == expected
    shutil.move(program.store, tmp_path / "elsewhere")
    moved = Program(run, tmp_path / "elsewhere")
    assert moved.clips("--person", "Bert") == expected
    moved("people", "backup", tmp_path / "people.json")
    fresh = Program(run, tmp_path / "fresh")
    fresh("index", film, *FAKE)
    fresh("people", "restore", tmp_path / "people.json")
    assert fresh.clips("--person", "Bert") == expected


def test_faces_are_split_off_and_people_merged(program: Program) -> None:
    red, green = ids(program)
    program("people", "name", str(red), "Anna")
    change = program.json("people", "split", "Anna", "two.mp4#t2")
    new = change["split_off"]["id"]
    assert new not in (red, green)
    assert [clip[0] for clip in program.clips("--person", "Anna")[0]] == [1]
    assert program.json("people", "show", "two.mp4#t2")["person"]["id"] == new
    program("people", "merge", "Anna", str(new))
    assert [clip[0] for clip in program.clips("--person", "Anna")[0]] == [1, 2]
    assert program.json("people", "show", str(new))["person"]["id"] == red, "the old id leads on"


def test_only_faces_of_the_person_are_split_off(program: Program) -> None:
    red, green = ids(program)
    program("people", "name", str(green), "Bert")
    for face in ("two.mp4#t3", "two.mp4#2"):
        message = program("people", "split", str(red), face, code=1)
        assert f"is Bert, not person {red}" in message
    assert [one["kind"] for one in program.json("people", "log")["decisions"]] == ["name"]
    program("people", "split", str(red), "two.mp4#t2")
    message = program("people", "split", str(red), "two.mp4#t2", code=1)
    assert f"not person {red}" in message


def test_a_split_of_all_faces_says_so_and_an_unnamed_person_without_faces_is_not_listed(
    program: Program,
) -> None:
    red, green = ids(program)
    assert f"person {red} has no faces left" in program("people", "split", str(red), "two.mp4#1")
    listed = [one["id"] for one in program.json("people")["people"]]
    assert red not in listed
    assert green in listed
    program("people", "name", str(red), "Anna")
    assert red in [one["id"] for one in program.json("people")["people"]]


def test_a_face_that_is_named_twice_counts_once(program: Program) -> None:
    red, _ = ids(program)
    faces = ("two.mp4#t1", "two.mp4#1", "two.mp4#t1")
    assert program("people", "accept", str(red), *faces).startswith("2 face tracks accepted")
    change = program.json("people", "reject", str(red), *faces)
    assert sorted(number for face in change["faces"] for number in face["tracklets"]) == [1, 2]


def test_the_log_names_people(program: Program) -> None:
    red, green = ids(program)
    program("people", "name", str(red), "Anna")
    program("people", "merge", str(red), str(green))
    assert f"person {green} is person {red} (Anna)" in program("people", "log")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("people", "show", "-1"), "there is no person -1"), (("people", "undo", "-1"), "there is no decision -1"),
        (("people", "merge", "1", "-2"), "there is no person -2"), (("people", "name", "1", "-3"), "the name -3 looks"),
        (("forget", "-1"), "there is no person -1"),
    ],
)  # fmt: skip
def test_a_number_below_one_is_an_error_of_one_line(
    program: Program, words: tuple[str, ...], text: str
) -> None:
    error = program(*words, code=2)
    assert error.count("\n") == 1
    assert text in error
    assert "there is no person -1" in program("query", "--person", "-1", code=1)


def test_a_photo_is_no_face_of_a_split(program: Program, photos: Path) -> None:
    error = program("people", "split", "1", photos / "red.png", code=1)
    assert "is not a face of the library" in error
    assert "index" not in error


def test_a_backup_needs_a_folder_that_is_there(program: Program, tmp_path: Path) -> None:
    error = program("people", "backup", tmp_path / "missing" / "decisions.json", code=1)
    assert "name a file in a folder that is there" in error
    assert "--store" not in error


def test_a_person_of_emoji_has_a_folder_of_its_own(program: Program, tmp_path: Path) -> None:
    red, _ = ids(program)
    program("people", "name", str(red), "😀")
    document = program.json("query", "--person", "😀", *FAKE, "--out", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"person {red}"]
    assert len(document["results"]) == 1


def test_faces_of_the_library_are_no_photos_in_a_table(program: Program, photos: Path) -> None:
    assert "by reference" in program("query", "--person", "two.mp4#1", *FAKE, "--dry-run")
    assert "by photo" in program("query", photos / "red.png", *FAKE, "--dry-run")


def test_a_merge_of_several_is_undone_as_a_whole(program: Program) -> None:
    red, green = ids(program)
    new = program.json("people", "split", str(red), "two.mp4#t2")["split_off"]["id"]
    change = program.json("people", "merge", str(red), str(green), str(new), str(new))
    assert len(change["decisions"]) == 2
    undone = program.json("people", "undo", *map(str, change["decisions"]))["undone"]
    assert sorted(one["number"] for one in undone) == change["decisions"]
    owners = [program.json("people", "show", f"two.mp4#t{number}")["person"]["id"] for number in (1, 2, 3)]
    assert owners == [red, new, green]
    program("people", "undo", "999", str(change["decisions"][0]), code=1)
    assert len(program.json("people", "log")["decisions"]) == 5, "all or none"


def test_a_merge_is_undone_though_the_video_was_decided_about_since(program: Program) -> None:
    red, green = ids(program)
    program("people", "merge", str(red), str(green))
    program("people", "split", str(red), "two.mp4#t2")
    program("people", "undo")
    program("people", "undo")
    assert ids(program) == (red, green)
    assert {one["id"]: one["clusters"] for one in program.json("people")["people"]} == {red: 1, green: 1}


def test_one_wrong_face_is_corrected_without_the_rest_of_a_named_person(program: Program) -> None:
    red, green = ids(program)
    program("people", "name", str(red), "Anna")
    program("people", "name", str(green), "Bert")
    for face in ("two.mp4#t1", "two.mp4#t2"):  # the name hangs on one of the two
        program("people", "accept", "Bert", face)
        other = {"two.mp4#t1": 2, "two.mp4#t2": 1}[face]
        assert [clip[0] for clip in program.clips("--person", "Anna")[0]] == [other]
        assert program.json("people", "show", "two.mp4#1")["person"]["name"] == "Anna"
        program("people", "undo")
    assert [clip[0] for clip in program.clips("--person", "Anna")[0]] == [1, 2]


def test_hidden_people_are_not_listed_and_not_asked_for_with_everybody(program: Program) -> None:
    red, green = ids(program)
    assert "is not hidden" in program("people", "unhide", str(green), code=1)
    program("people", "hide", str(green))
    assert "is hidden already" in program("people", "hide", str(green), code=1)
    assert [one["kind"] for one in program.json("people", "log")["decisions"]] == ["hide"]
    assert [one["id"] for one in program.json("people")["people"]] == [red]
    assert len(program.clips("--everybody")) == 1
    program("people", "unhide", str(green))
    assert len(program.clips("--everybody")) == 2


def test_everybody_needs_no_photo_and_each_face_is_one_persons(program: Program) -> None:
    found = program.clips("--everybody", "--video", "two.mp4")
    assert [[clip[0] for clip in one] for one in found] == [[1, 2], [3]]


def test_who_was_split_off_without_a_cluster_is_one_of_everybody(program: Program) -> None:
    new = program.json("people", "split", "two.mp4#1", "two.mp4#t2")["split_off"]["id"]
    assert (2, 30, 60, "decision") in [clip for one in program.clips("--everybody") for clip in one]
    assert program.json("people", "show", str(new))["person"]["clusters"] == 0


def test_who_was_split_off_without_a_cluster_is_listed_shown_and_drawn(
    program: Program, tmp_path: Path
) -> None:
    new = program.json("people", "split", "two.mp4#1", "two.mp4#t2")["split_off"]["id"]
    (listed,) = [one for one in program.json("people")["people"] if one["id"] == new]
    assert (listed["videos"], listed["seconds"]) == (1, pytest.approx(1.2))
    (appearance,) = program.json("people", "show", str(new))["appearances"]
    assert (appearance["video"], appearance["tracklets"]) == ("two.mp4", 1)
    assert (appearance["start"], appearance["seconds"]) == (pytest.approx(1.2), pytest.approx(1.2))
    drawn = program.json("people", "sheet", "--out", tmp_path / "people.png")
    assert new in [one["id"] for one in drawn["people"]]
    program("remove", "two.mp4")
    (listed,) = [one for one in program.json("people")["people"] if one["id"] == new]
    assert (listed["videos"], listed["seconds"]) == (0, 0), "its face comes back with the video"


def test_one_of_everybody_who_cannot_be_cut_does_not_stop_the_others(
    program: Program, run: Run, tmp_path: Path
) -> None:
    red, green = ids(program)
    (tmp_path / "out" / f"person {red}").mkdir(parents=True)
    (tmp_path / "out" / f"person {red}" / "letter.txt").write_text("dear")
    result = run("query", "--everybody", "--store", program.store, *FAKE, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [Path(one["folder"]).name for one in document["results"]] == [f"person {green}"]
    assert [one["name"] for one in document["failed"]] == [f"person {red}"]


def test_with_and_without_give_exactly_those_frames(program: Program, photos: Path) -> None:
    assert program.clips(photos / "red.png", "--with", "two.mp4#t3") == [[(2, 30, 60, "photo")]]
    assert program.clips(photos / "red.png", "--with", photos / "green.png") == [[(2, 30, 60, "photo")]]
    assert program.clips(photos / "red.png", "--without", "two.mp4#t3") == [[(1, 0, 30, "photo")]]
    assert program.clips(photos / "green.png", "--without", "two.mp4#t1") == [[]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--person", "Anna", "--with", "Anna"), "somebody else for --with"),
        (("--person", "Anna", "--without", "two.mp4#t1"), "somebody else for --without"),
        (("--person", "two.mp4#t3", "--with", "Anna", "--without", "Anna"), "in the picture and not"),
    ],
)
def test_a_question_that_contradicts_itself_is_refused(
    program: Program, words: tuple[str, ...], text: str
) -> None:
    program("people", "name", "two.mp4#t1", "Anna")
    assert text in program("query", *words, *FAKE, "--dry-run", code=1)


def test_a_person_who_is_named_twice_is_searched_once(program: Program) -> None:
    red, _ = ids(program)
    assert len(program.clips("--person", "two.mp4#1", "--person", str(red))) == 1


def test_not_outranks_similarity_in_the_library_and_no_decision(program: Program, photos: Path) -> None:
    red, green = ids(program)
    program("people", "merge", str(red), str(green))
    everything = ("--person", str(red), "--threshold", "0.001")
    assert len(program.clips(*everything)[0]) == 3
    unlike = (*everything, "--not", photos / "green.png")
    assert [clip[0] for clip in program.clips(*unlike)[0]] == [1, 2]
    program("people", "accept", str(red), "two.mp4#t3")
    assert 3 in [clip[0] for clip in program.clips(*unlike)[0]]


def test_a_sheet_of_nobody_or_of_another_name_is_not_written(program: Program, tmp_path: Path) -> None:
    target = tmp_path / "people.png"
    target.write_bytes(b"before")
    program("people", "name", "two.mp4#1", "Anna")
    program("people", "name", "two.mp4#t3", "Bea")
    assert "nobody" in program("people", "sheet", "--unnamed", "--out", target, code=1)
    assert target.read_bytes() == b"before"
    assert "add .png" in program("people", "sheet", "--out", tmp_path / "people.txt", code=1)
    assert not (tmp_path / "people.txt").exists()


def test_what_is_more_like_a_photo_of_not_does_not_match(program: Program, photos: Path) -> None:
    low = ("--threshold", "0.001")
    assert program.clips(photos / "red.png", "--not", photos / "green.png", *low) == [
        [(1, 0, 30, "photo"), (2, 30, 60, "photo")]
    ]
    assert program.clips(photos / "red.png", "--not", photos / "red.png", *low) != [[]], "a tie is no refusal"
    assert program.clips(photos / "green.png", "--not", photos / "red.png", *low) == [[(3, 30, 60, "photo")]]


def test_forget_erases_name_decisions_and_faces_and_lists_results(
    program: Program, run: Run, tmp_path: Path
) -> None:
    red, green = ids(program)
    program("people", "name", str(red), "Annabella")
    program("people", "name", str(green), "Bert")
    for name in ("Annabella", "Bert"):
        run("query", "--person", name, "--store", program.store, *FAKE, "--out", tmp_path / "out")
    data = program.json("people", "show", "Annabella", "--data")
    said = program("forget", "Annabella", *FAKE, "--yes", "--out", tmp_path / "out")
    assert f"Erased from the library: person {red} (Annabella)" in said
    assert f"shows Annabella, or did when it was cut: {tmp_path / 'out' / 'Annabella'}" in said
    assert str(tmp_path / "out" / "Bert") not in said
    left = b"".join(path.read_bytes() for path in program.store.rglob("*") if path.is_file())
    assert b"Annabella" not in left
    for tracklet in data["videos"][0]["tracklets"]:
        for exemplar in tracklet["exemplars"]:
            crop = base64.b64decode(exemplar["crop"])
            assert crop[-300:-200] not in left
    assert f"person {red} was forgotten" in program("people", "show", str(red), code=1)
    assert [one["name"] for one in program.json("people")["people"]] == ["Bert"]
    assert [decision["kind"] for decision in program.json("people", "log")["decisions"]] == ["name", "forget"]


def test_a_face_that_is_forgotten_leaves_the_decisions_about_others(program: Program, tmp_path: Path) -> None:
    """What is said of the face itself goes; a name that hung on it holds the rest of the cluster."""
    red, green = ids(program)
    program("people", "name", str(red), "Anna")
    (anchor,) = program.json("people", "log")["decisions"][0]["places"]
    goes, stays = (1, 2) if anchor["start"] == 0 else (2, 1)
    program("people", "accept", "Anna", f"two.mp4#t{stays}")
    program("people", "accept", str(green), f"two.mp4#t{goes}")
    program("forget", str(green), *FAKE, "--yes", "--out", tmp_path)
    left = [place for one in program.json("people", "log")["decisions"] for place in one["places"]]
    assert [(place["person"], place["start"], place["end"]) for place in left] == [
        (red, 30 * (stays - 1), 30 * stays)
    ] * 2
    assert program.clips("--person", "Anna") == [[(stays, 30 * (stays - 1), 30 * stays, "decision")]]


def test_a_rejection_of_a_face_that_is_forgotten_goes(program: Program, tmp_path: Path) -> None:
    red, green = ids(program)
    program("people", "reject", str(green), "two.mp4#t1")
    program("forget", str(red), *FAKE, "--yes", "--out", tmp_path)
    assert [one["places"] for one in program.json("people", "log")["decisions"]] == [[], []]


def test_who_is_in_no_video_any_more_can_be_forgotten(program: Program, tmp_path: Path) -> None:
    """Whether or not another video is left in which to search."""
    other = film_of_two(tmp_path / "other.mp4", seconds=0.5)
    program("index", other, *FAKE)
    for number, name in ((1, "Annabella"), (3, "Bertram")):
        program("people", "name", f"two.mp4#t{number}", name)
    program("people", "split", "Annabella", "other.mp4")
    program("people", "split", "Bertram", "other.mp4")
    program("remove", "two.mp4")
    assert "has no clear face" in program("query", "--person", "Annabella", *FAKE, "--dry-run", code=1)
    said = program("forget", "Annabella", *FAKE, "--yes", "--out", tmp_path)
    assert "(Annabella), with all decisions." in said
    assert "Removed" not in said
    program("remove", "other.mp4")
    assert "(Bertram), with all decisions." in program("forget", "Bertram", *FAKE, "--yes", "--out", tmp_path)
    left = (program.store / "library.db").read_bytes()
    assert b"Annabella" not in left
    assert b"Bertram" not in left


def test_an_option_before_the_command_is_not_passed_over(run: Run) -> None:
    result = run("people", "--json", "log")
    assert result.exit_code == 2
    assert "put --json after log" in result.stderr


def test_the_store_may_stand_before_the_command(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEREEL_STORE", str(tmp_path / "other"))
    assert run("people", "--store", store, "name", "1", "Anna").exit_code == 0
    assert "Anna" in run("people", "--store", store, "log").stdout
    assert "Anna" not in run("people", "--store", store, "log", "--store", tmp_path / "other").stdout
    assert not (tmp_path / "other").exists()


def test_forget_says_how_people_are_named(run: Run, store: Path) -> None:
    result = run("forget", "--person", "1", "--store", store)
    assert result.exit_code == 2
    assert "run: facereel forget PERSON" in result.stderr


def test_one_question_at_a_time(run: Run, store: Path, photos: Path) -> None:
    for words, text in (
        ((), "nobody to search for"),
        ((photos / "red.png", "--person", "1"), "three questions"),
    ):
        result = run("query", *words, "--store", store, *FAKE)
        assert (result.exit_code, text in " ".join(result.stderr.split())) == (2, True)


def test_a_word_for_forget_is_either_a_file_or_a_person(program: Program, photos: Path) -> None:
    library = Library(program.store, engine="fake")
    program("people", "name", "two.mp4#t1", "Anna")
    assert library.read_anybody(["Anna"]).persons[0].person is not None
    assert library.read_anybody([str(photos / "red.png")]).persons[0].person is None
    with pytest.raises(OptionError, match="one by one"):
        library.read_anybody(["Anna", str(photos / "red.png")])


@pytest.mark.parametrize("rest", [b"", None])
def test_that_all_decisions_are_gone_is_said_once(program: Program, rest: bytes | None) -> None:
    program("people", "name", "two.mp4#t1", "Anna")
    database = program.store / "library.db"
    database.unlink()
    if rest is not None:
        database.write_bytes(rest)
    first, second = (program.output("people") for _ in range(2))
    assert "names and decisions that it held are gone" in first
    assert "people restore --store" in first
    assert "are gone" not in second


def test_a_damaged_library_is_named_by_verify_and_list_still_lists(program: Program) -> None:
    database = program.store / "library.db"
    whole = database.read_bytes()
    assert "library.db" not in program("verify")
    database.write_bytes(whole[:8192] + b"\xff" * 8192 + whole[16384:])
    assert "library.db is damaged" in program.output("verify", code=1)
    database.write_bytes(b"garbage " * 1000)
    assert "library.db is damaged" in program.output("verify", code=1)
    listed = program.output("list")
    assert "two.mp4" in listed
    assert "library.db is damaged" in listed


def test_decisions_about_a_video_are_read_once_for_everybody(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    red, green = ids(program)
    program("people", "accept", str(red), "two.mp4#t1")
    people, reads = Catalogue(program.store).people, []

    def read(people: LibraryPeople, index: VideoIndex) -> list[tuple[int, Ruling]]:
        reads.append(index)
        return rulings_of_tracklets(people, index)

    monkeypatch.setattr("facereel.query.library.decisions.rulings_of_tracklets", read)
    decisions = LibraryDecisions(people)
    with Catalogue(program.store).find("two.mp4") as index:
        rulings = [decisions.of(index, PersonQuery("one", (), (), person=one)) for one in (red, green)]
        with Catalogue(program.store).find("two.mp4") as again:
            assert decisions.of(again, PersonQuery("one", (), (), person=red)) == rulings[0]
    assert [one.confirmed for one in rulings] == [frozenset({1}), frozenset()]
    assert 1 in rulings[1].excluded
    assert len(reads) == 2
