"""The commands as a user runs them: what they print, write and return."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from multiprocessing import spawn
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from facereel import cli
from facereel.indexer.engines.registry import DEFAULT_ENGINE
from facereel.store.files.folders import index_folders
from tests.fake_engine import film_of_two, write_photo
from tests.program import Run
from tests.test_project import commands

FAKE = ("--engine", "fake")


def test_the_default_engine_is_the_indexers() -> None:
    assert cli.ENGINE == DEFAULT_ENGINE


def test_workers_do_not_import_the_command_line_again(monkeypatch: pytest.MonkeyPatch) -> None:
    program = ModuleType("__main__")
    program.__file__ = str(Path(cli.__file__))
    monkeypatch.setitem(sys.modules, "__main__", program)
    assert "init_main_from_path" in spawn.get_preparation_data("worker")
    monkeypatch.setattr(sys, "argv", ["facereel", "--help"])
    with pytest.raises(SystemExit):
        cli.run()
    assert not {"init_main_from_path", "init_main_from_name"} & spawn.get_preparation_data("worker").keys()


@pytest.mark.parametrize(
    "args", [(), ("index",), ("query",), ("list", "x"), ("query", "--crop"), ("nonsense",)]
)
def test_a_wrong_command_line_exits_2(run: Run, args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2


@pytest.mark.parametrize(
    ("command", "left"),
    [
        (["query"], {"query"}),
        (["list"], {"list"}),
        (["people"], {"people"}),
        (["list_videos"], None),
        (["--debug"], None),
        ([], None),
    ],
)
def test_only_the_command_that_is_called_is_made(
    command: list[str], left: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What names no command leaves all, so that help and suggestions are whole."""
    whole: Any = get_command(cli.app)
    for kind in ("registered_commands", "registered_groups"):
        monkeypatch.setattr(cli.app, kind, getattr(cli.app, kind))
    cli._leave_out_others(command)
    made: Any = get_command(cli.app)
    assert made.commands.keys() == (whole.commands.keys() if left is None else left)


@pytest.mark.parametrize("command", [name for name in commands() if name])
def test_every_command_and_option_has_a_line_of_help(run: Run, command: str) -> None:
    assert f"  {command} " in run("--help").stdout
    result = run(command, "--help")
    assert result.exit_code == 0
    for line in result.stdout.splitlines():
        if line.startswith("  --"):
            assert len(line.split("  ")) > 2 or line.startswith("  --engine"), line


def test_index_prints_figures_and_what_is_next(run: Run, film: Path, tmp_path: Path) -> None:
    result = run("index", film, "--store", tmp_path / "s", *FAKE)
    assert result.exit_code == 0
    assert "two.mp4: 0:03.600 indexed in" in result.stdout
    assert "90 frames, 3 shots, 90 faces, 3 face tracks, 2 people" in result.stdout
    assert "facereel query --store" in result.stdout


def test_what_is_indexed_is_skipped_by_its_content(run: Run, store: Path, film: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(film, tmp_path / "renamed.mp4"))
    result = run("index", copy, "--store", store, *FAKE)
    assert result.exit_code == 0
    assert "renamed.mp4: indexed already; --force does it again" in result.stdout
    assert len(index_folders(store)) == 1
    again = run("index", copy, "--store", store, *FAKE, "--force", "--json")
    assert json.loads(again.stdout)["videos"][0]["state"] == "indexed"
    assert [folder.name.startswith("renamed") for folder in index_folders(store)] == [True]


def test_an_index_with_other_settings_is_named(run: Run, store: Path, film: Path) -> None:
    result = run("index", film, "--store", store, *FAKE, "--min-face", "40")
    assert "indexed already; --force does it again with the other settings" in result.stdout


def test_index_takes_folders_patterns_and_doubles(run: Run, film: Path, tmp_path: Path) -> None:
    deep = tmp_path / "films" / "deep"
    deep.mkdir(parents=True)
    shutil.copy(film, deep / "a.MP4")
    (deep / "notes.txt").write_text("no film")
    other = film_of_two(tmp_path / "films" / "b [1].mp4", seconds=0.4)
    args = (tmp_path / "films", other, str(tmp_path / "films" / "d*" / "*"))
    videos = json.loads(run("index", *args, "--store", tmp_path / "s", *FAKE, "--json").stdout)["videos"]
    assert [Path(video["video"]).name for video in videos] == ["b [1].mp4", "a.MP4"]
    assert {video["state"] for video in videos} == {"indexed"}


def test_a_batch_goes_on_after_a_failure(run: Run, film: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    result = run("index", broken, film, "--store", tmp_path / "s", *FAKE)
    assert result.exit_code == 1
    assert "two.mp4: 0:03.600 indexed" in result.stdout
    assert f"1 of 2 videos failed: {broken}" in result.stderr


def test_query_cuts_clips_and_says_where_they_are(
    run: Run, store: Path, photos: Path, tmp_path: Path
) -> None:
    result = run("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out")
    assert result.exit_code == 0
    folder = tmp_path / "out" / "red"
    lines = result.stdout.splitlines()
    assert lines[0].startswith("  two_0001_00-00-00.000.mp4  0:00.000 - 0:01.200  1.20 s  ")
    assert lines[-2] == f"2 clips of red in 1 of 1 video: {folder}"
    assert lines[-1].startswith("searched: 1 video, 3 face tracks, ")
    document = json.loads((folder / "metadata.json").read_text())
    for clip in document["clips"]:
        with av.open(str(folder / clip["file"])) as container:
            assert sum(1 for _ in container.decode(video=0)) == len(clip["frames"]) == 30
    with (folder / "clips.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_query_json_is_the_metadata_and_more(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out", "--json")
    output = json.loads(run(*args).stdout)
    (result,) = output["results"]
    written = json.loads((tmp_path / "out" / "red" / "metadata.json").read_text())
    assert {key: result[key] for key in written} == written
    assert result["folder"] == str(tmp_path / "out" / "red")
    assert [Path(path).name for path in output["searched"]] == ["two.mp4"]


def test_query_json_lists_no_more_videos_than_somebody_would_read(
    run: Run, store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facereel.query.terminal.documents.MOST_LISTED", 0)
    output = json.loads(
        run("query", photos / "red.png", "--store", store, *FAKE, "--dry-run", "--json").stdout
    )
    assert output["searched"] == []
    assert output["results"][0]["search"]["videos"] == 1


def test_dry_run_cuts_nothing(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out", "--dry-run")
    result = run(*args)
    assert "2 clips of red in 1 of 1 video; nothing was cut" in result.stdout
    header, *rows, _ = result.stdout.splitlines()[1:]
    assert header.split()[:3] == ["face", "start", "end"]
    assert {row.split("#t")[0] for row in rows} == {"two.mp4"}
    (document,) = json.loads(run(*args, "--json").stdout)["results"]
    assert [clip["file"] for clip in document["clips"]] == [None, None]
    assert all(frame["crop"] for clip in document["clips"] for frame in clip["frames"])
    assert not (tmp_path / "out").exists()


def test_a_folder_of_folders_is_a_person_each(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    for name, person in (("Anna B", "red"), ("Ольга", "green"), ("nobody", "blue")):
        write_photo(tmp_path / "people" / name / "1.png", person)
        write_photo(tmp_path / "people" / name / "2.png", person)
    result = run("query", tmp_path / "people", "--store", store, *FAKE, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert sorted(folder.name for folder in (tmp_path / "out").iterdir()) == ["Anna B", "Ольга"]
    assert "nobody was not found in 1 video; nothing was written." in result.stdout
    several = run(
        "query", tmp_path / "people", "--store", store, *FAKE, "--out", tmp_path / "o", "--json", "--dry-run"
    )
    output = json.loads(several.stdout)
    assert [len(person["clips"]) for person in output["results"]] == [2, 0, 1]
    assert [len(person["references"]) for person in output["results"]] == [2, 2, 2]


def test_nobody_found_is_a_sentence(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    args = ("query", photos / "blue.png", "--store", store, *FAKE, "--out", tmp_path / "out")
    result = run(*args, "--explain")
    assert result.exit_code == 0
    assert "blue was not found in 1 video; nothing was written." in result.stdout
    assert "Nothing else is similar to blue." in result.stdout
    assert not (tmp_path / "out").exists()


def test_what_is_not_sure_is_listed_and_cut_only_when_asked_for(
    run: Run, store: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", out, "--threshold", "0.9999999")
    result = run(*args)
    assert "red was not found in 1 video; nothing was written." in result.stdout
    assert "Possibly red, but not sure; --include possible cuts them, too:" in result.stdout
    assert not out.exists()
    (listed,) = json.loads(run(*args, "--json").stdout)["results"]
    assert listed["clips"] == []
    assert listed["search"]["possible"] == len(listed["possible"]) == 2
    assert all(0 <= match["stranger_share"] <= 0.5 for match in listed["possible"])
    (cut,) = json.loads(run(*args, "--include", "possible", "--json").stdout)["results"]
    assert [clip["certainty"] for clip in cut["clips"]] == ["possible", "possible"]
    assert [clip["start_frame"] for clip in cut["clips"]] == sorted(
        m["start_frame"] for m in listed["possible"]
    )
    assert cut["possible"] == []
    assert len(list(out.glob("red/*.mp4"))) == 2
    assert run(*args, "--include", "all").exit_code == 2


def test_explain_lists_what_just_missed(run: Run, store: Path, photos: Path) -> None:
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--dry-run")
    assert "Nothing else is similar to red." in run(*args, "--explain").stdout
    assert json.loads(run(*args, "--explain", "--json").stdout)["results"][0]["near_misses"] == []
    assert "near_misses" not in json.loads(run(*args, "--json").stdout)["results"][0]


def test_short_clips_are_dropped_and_counted(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out")
    result = run(*args, "--min-duration", "1.5")
    assert "2 matches shorter than --min-duration left out; nothing was written." in result.stdout
    assert not (tmp_path / "out").exists()


def test_a_video_that_is_not_indexed_is_indexed_first(
    run: Run, film: Path, photos: Path, tmp_path: Path
) -> None:
    args = ("query", photos / "green.png", "--store", tmp_path / "s", *FAKE, "--video", film)
    result = run(*args, "--out", tmp_path / "out", "--name", "grün")
    assert result.exit_code == 0
    assert "two.mp4 is not indexed yet; indexing it first" in result.stderr
    assert (tmp_path / "out" / "grün" / "metadata.json").is_file()


def test_face_chooses_among_several(run: Run, store: Path, photos: Path) -> None:
    args = ("query", photos / "both.png", "--store", store, *FAKE, "--dry-run")
    largest = run(*args)
    assert "1 clip of both" in largest.stdout  # green
    assert "has 2 faces, the largest is used; --face 2" in largest.stderr
    second = run(*args, "--face", "2")
    assert "2 clips of both" in second.stdout  # red
    assert second.stderr == ""


def test_list_info_remove(run: Run, store: Path, film: Path) -> None:
    header, row = run("list", "--store", store).stdout.splitlines()
    assert header.split() == [
        "video", "duration", "size", "shots", "face", "tracks", "people", "engine", "indexed", "(UTC)", "path",
    ]  # fmt: skip
    assert row.split()[:7] == ["two.mp4", "0:03.600", "320x180", "3", "3", "2", "fake"]
    known = json.loads(run("info", film, "--store", store, "--json").stdout)
    assert known["frames"] == 90
    assert [round(person["seconds"], 2) for person in known["by_cluster"]] == [2.4, 1.2]
    text = run("info", "two.mp4", "--store", store).stdout
    assert "path: " + str(film.resolve()) in text
    assert run("remove", "two.mp4", "--store", store).exit_code == 0
    assert film.is_file()
    assert "holds no index" in run("list", "--store", store).stdout
    assert json.loads(run("list", "--store", store, "--json").stdout)["videos"] == []


def test_faces_draws_a_row_a_person(run: Run, store: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "sheet.png"
    result = run("faces", "two.mp4", "--store", store, "--out", target)
    assert f"2 people in {target}" in result.stdout
    with Image.open(target) as sheet:
        both = sheet.size
        # The first look of the first row: red, who is seen longest.
        assert np.asarray(sheet.convert("RGB"))[44 + 8, 200 + 56].argmax() == 0
    output = json.loads(
        run("faces", "two.mp4", "--store", store, "--out", target, "--most", "1", "--json").stdout
    )
    assert (len(output["clusters"]), output["left_out"]) == (1, 1)
    with Image.open(target) as sheet:
        assert sheet.size[1] < both[1]


def test_engines_are_listed_with_their_licence(run: Run) -> None:
    known = json.loads(run("engines", "--json").stdout)["engines"]
    zoo = next(engine for engine in known if engine["engine"] == DEFAULT_ENGINE)
    assert (zoo["state"], zoo["vector_length"]) == ("ready", 128)
    assert "commercial" in zoo["licence"]
    assert "opencv-zoo" in run("engines").stdout


def test_tables_cut_no_value_and_have_no_colour(run: Run, film: Path, tmp_path: Path) -> None:
    long = tmp_path / ("very long name " * 8 + "日本語.mp4")
    shutil.copy(film, long)
    run("index", long, "--store", tmp_path / "s", *FAKE)
    text = run("list", "--store", tmp_path / "s").stdout
    assert long.name in text
    assert "\x1b" not in text
