"""Bad input gets one line that says what, which value and the remedy; exit 1; nothing is written or lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from facereel.query.terminal import indexing
from facereel.store.files.folders import index_folders
from tests.fake_engine import film_of_two, write_photo
from tests.program import Run, run_bound

FAKE = ("--engine", "fake")
Refuses = Callable[..., str]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with what is in it, but for when library.db was brought up to date."""
    found = {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    for path in folder.rglob("library.db"):
        with closing(sqlite3.connect(path)) as db:
            rows = [line for line in db.iterdump() if not line.startswith('INSERT INTO "catalogue"')]
        found[str(path)] = "\n".join(rows).encode()
    return found


@pytest.fixture
def refuses(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refuses:
    """Run what has to fail: one line, exit 1, files as they were; gives the line."""

    monkeypatch.chdir(tmp_path)  # where a result would go that should not be

    def check(*args: str | Path) -> str:
        before = tree(tmp_path)
        result = run(*args)
        assert result.exit_code == 1, result.output
        assert tree(tmp_path) == before
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, result.stderr
        assert result.stdout == ""
        return errors[0]

    return check


@pytest.mark.parametrize("name", ["no such.mp4", "-dash.mp4", "线\nbreak.mp4", "no*.mp4", "\x1b[31m.mp4"])
def test_no_such_video(refuses: Refuses, tmp_path: Path, name: str) -> None:
    line = refuses("index", "--store", tmp_path / "s", *FAKE, "--", tmp_path / name)
    assert "is not there" in line
    assert line.isprintable(), "a terminal would obey it"


@pytest.mark.parametrize("kind", ["pipe", "zeros"])
def test_what_has_no_end_is_not_begun(refuses: Refuses, store: Path, tmp_path: Path, kind: str) -> None:
    """Neither as a video nor as a photo."""
    path = Path("/dev/zero") if kind == "zeros" else tmp_path / "pipe.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    assert "a pipe or a device; give a file" in refuses("index", path, "--store", tmp_path / "s", *FAKE)
    assert "a pipe or a device; give a file" in refuses("query", path, "--store", store, *FAKE)


def test_not_a_video(refuses: Refuses, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("text")
    assert "text.mp4 cannot be read as a video" in refuses(
        "index", tmp_path / "text.mp4", "--store", tmp_path / "s", *FAKE
    )


def test_a_video_without_a_picture_stream(refuses: Refuses, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        block.sample_rate = 48_000
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    line = refuses("index", tmp_path / "sound.mp4", "--store", tmp_path / "s", *FAKE)
    assert "sound.mp4 has no video stream; give a file with moving pictures" in line


def test_a_folder_without_videos(refuses: Refuses, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = refuses("index", tmp_path / "empty", "--store", tmp_path / "s", *FAKE)
    assert "empty holds no video; known suffixes: .3gp" in line


def test_a_truncated_video_is_indexed_and_the_loss_said(run: Run, tmp_path: Path) -> None:
    film = film_of_two(tmp_path / "whole.mkv", seconds=1.0)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    result = run("index", cut, "--store", tmp_path / "s", *FAKE, "--json")
    assert result.exit_code == 0
    (video,) = json.loads(result.stdout)["videos"]
    assert 20 < video["frames"] < 75
    assert video["warnings"]
    again = run("index", cut, "--store", tmp_path / "s", *FAKE)
    assert f"warning: cut.mkv: {video['warnings'][0]}" in again.stderr
    assert f"warning: {video['warnings'][0]}" in run("info", "cut.mkv", "--store", tmp_path / "s").stdout


def test_a_threshold_is_checked_before_a_video_is_indexed(
    refuses: Refuses, film: Path, photos: Path, tmp_path: Path
) -> None:
    args = (
        "query",
        photos / "red.png",
        "--video",
        film,
        "--store",
        tmp_path / "s",
        *FAKE,
        "--threshold",
        "5",
    )
    assert "--threshold must be between 0 and 1, not 5" in refuses(*args)
    assert not (tmp_path / "s").exists()


def test_a_photo_that_is_not_there(refuses: Refuses, store: Path, tmp_path: Path) -> None:
    line = refuses("query", tmp_path / "gone.jpg", "--store", store, *FAKE, "--out", tmp_path / "out")
    assert "gone.jpg is not there" in line


def test_photos_without_a_face(refuses: Refuses, store: Path, photos: Path, tmp_path: Path) -> None:
    more = ("--store", store, *FAKE, "--out", tmp_path / "out")
    assert "no face found in" in refuses("query", photos / "nobody.png", *more)
    # Of several photos that were named, each has to be usable.
    assert "nobody.png" in refuses("query", photos / "red.png", photos / "nobody.png", *more)


def test_a_folder_goes_without_its_bad_photos(run: Run, store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Red"
    write_photo(folder / "1.png", "red")
    write_photo(folder / "2.png")
    (folder / "3.jpg").write_text("torn")
    result = run("query", folder, "--store", store, *FAKE, "--dry-run", "--json")
    assert result.exit_code == 0
    (output,) = json.loads(result.stdout)["results"]
    assert [len(output["references"]), len(output["warnings"]), len(output["clips"])] == [1, 2, 2]
    assert all(text.startswith("not used: ") for text in output["warnings"])


def test_folders_nobody_can_be_made_of(refuses: Refuses, store: Path, photos: Path, tmp_path: Path) -> None:
    more = ("--store", store, *FAKE, "--out", tmp_path / "out")
    (tmp_path / "none").mkdir()
    assert "none holds no photo" in refuses("query", tmp_path / "none", *more)
    write_photo(tmp_path / "empty" / "1.png")
    assert "no photo of empty can be used" in refuses("query", tmp_path / "empty", *more)
    assert "is a photo and" in refuses("query", photos, photos / "red.png", *more)
    write_photo(photos / "deep" / "1.png", "red")
    assert "holds photos and folders" in refuses("query", photos, *more)


def test_an_unreadable_photo(refuses: Refuses, store: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0torn")
    line = refuses("query", tmp_path / "torn.jpg", "--store", store, *FAKE, "--out", tmp_path / "out")
    assert "torn.jpg cannot be read as a photo" in line


@pytest.mark.parametrize("number", ["3", "0", "-1"])
def test_a_face_that_is_not_in_the_photo(refuses: Refuses, store: Path, photos: Path, number: str) -> None:
    line = refuses("query", photos / "both.png", "--store", store, *FAKE, "--face", number)
    assert "2 faces" in line
    assert number in line


def test_a_face_chosen_in_several_photos(refuses: Refuses, store: Path, photos: Path) -> None:
    line = refuses("query", photos / "red.png", photos / "both.png", "--store", store, *FAKE, "--face", "2")
    assert "--face 2 " in line
    assert "2 photos" in line


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--threshold", "3", "--threshold must be between 0 and 1, not 3"),
        ("--threshold", "nan", "--threshold must be between 0 and 1, not nan"),
        ("--min-duration", "-1", "0 or more seconds, not -1"),
        ("--crop", "square", "follow, tube, none, not 'square'"),
        ("--size", "7", "64 to 4096, not 7"),
        ("--name", "../up", "cannot be a folder's name"),
        ("--name", "", "cannot be a folder's name"),
        ("--engine", "magic", "no engine is called 'magic'; known: "),
        ("--video", "other.mp4", 'no video "other.mp4" in the library; did you mean two.mp4?'),
    ],
)
def test_options_out_of_range(
    refuses: Refuses, store: Path, photos: Path, option: str, value: str, said: str
) -> None:
    assert said in refuses("query", photos / "red.png", "--store", store, *FAKE, option, value)


def test_an_empty_store(refuses: Refuses, photos: Path, tmp_path: Path) -> None:
    line = refuses("query", photos / "red.png", "--store", tmp_path / "no store", *FAKE)
    assert "holds no index; run: facereel index --store" in line


@pytest.mark.parametrize("engine", ["fake-other", "fake-new"])
def test_an_index_of_another_engine(
    refuses: Refuses, store: Path, film: Path, photos: Path, engine: str
) -> None:
    for more in ((), ("--video", "two.mp4")):
        line = refuses("query", photos / "red.png", "--store", store, "--engine", engine, *more)
        assert "two.mp4 was indexed by fake" in line
        assert f" --engine {engine.removesuffix('-new')}" in line
    line = refuses("index", film, "--store", store, "--engine", engine)
    assert "is indexed already, by " in line
    assert "--force" in line


def test_indexes_of_another_engine_are_left_out(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    other = film_of_two(tmp_path / "other.mp4", seconds=0.5)
    assert run("index", other, "--store", store, "--engine", "fake-other").exit_code == 0
    (store / "torn.mp4-0123456789ab").mkdir()
    result = run("query", photos / "red.png", "--store", store, *FAKE, "--dry-run")
    assert "2 clips of red in 1 of 1 video" in result.stdout
    assert "not searched: other.mp4 was indexed by fake-other" in result.stderr
    assert "torn.mp4-0123456789ab/index.db is damaged" in result.stderr
    output = json.loads(
        run("query", photos / "red.png", "--store", store, *FAKE, "--dry-run", "--json").stdout
    )
    assert [item["video"] for item in output["skipped"]] == ["other.mp4", "torn.mp4-0123456789ab"]


def test_an_index_of_a_newer_version(
    refuses: Refuses, run: Run, store: Path, film: Path, photos: Path
) -> None:
    (folder,) = index_folders(store)
    connection = sqlite3.connect(folder / "index.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for args in (("query", photos / "red.png", *FAKE), ("info", "two.mp4"), ("index", film, *FAKE)):
        assert "was written by a newer version" in refuses(*args, "--store", store)
    assert run("index", film, "--store", store, *FAKE, "--force").exit_code == 0


def test_a_damaged_index(refuses: Refuses, run: Run, store: Path, film: Path, photos: Path) -> None:
    (folder,) = index_folders(store)
    data = (folder / "index.db").read_bytes()
    (folder / "index.db").write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    line = refuses("query", photos / "red.png", "--store", store, *FAKE)
    assert "is damaged" in line
    assert "facereel index --force" in line
    assert run("verify", "--store", store).exit_code == 1
    assert run("index", film, "--store", store, *FAKE, "--force").exit_code == 0
    assert run("verify", "--store", store).exit_code == 0


def test_verify_names_what_is_wrong(run: Run, tmp_path: Path) -> None:
    film, store = film_of_two(tmp_path / "a.mp4", seconds=0.5), tmp_path / "s"
    run("index", film, "--store", store, *FAKE)
    assert run("verify", "--store", store).stdout == "a.mp4: ok\n"
    (folder,) = index_folders(store)
    (folder / "vectors.faiss").write_bytes(b"torn")
    result = run("verify", "a.mp4", "--store", store)
    assert result.exit_code == 0
    assert "a.mp4: vectors.faiss was torn or from elsewhere; rebuilt from index.db" in result.stdout
    film.write_bytes(film.read_bytes() + b"more")
    changed = run("verify", "--store", store, "--json")
    assert changed.exit_code == 1
    assert "has changed since it was indexed" in json.loads(changed.stdout)["indexes"][0]["problems"][0]
    film.unlink()
    assert "is no longer there" in run("verify", "--store", store).stdout
    connection = sqlite3.connect(folder / "index.db")
    connection.execute("DELETE FROM sightings WHERE tracklet = 1 AND frame = 3")
    connection.commit()
    connection.close()
    assert "is damaged" in run("verify", "--store", store).stdout


def test_a_store_that_may_not_be_written(film: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = run_bound("index", film, "--store", tmp_path / "locked" / "s", *FAKE)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert list((tmp_path / "locked").iterdir()) == []


def test_a_store_that_is_only_read_answers_all_the_same(store: Path, photos: Path) -> None:
    """As on a read-only medium: nothing that is derived from the indexes can be written beside them."""
    for path in (*store.rglob("*"), store):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = tree(store)
    done = run_bound("query", photos / "red.png", "--store", store, *FAKE, "--dry-run", "--json")
    for path in (store, *store.rglob("*")):
        path.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert "red" in done.stdout
    assert tree(store) == before


def test_a_store_that_is_a_file(refuses: Refuses, film: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "cannot be written" in refuses("index", film, "--store", tmp_path / "file" / "s", *FAKE)
    assert "cannot be written" in refuses("index", film, "--store", tmp_path / "file", *FAKE)
    assert "is not a folder" in refuses("list", "--store", tmp_path / "file")


def test_a_result_that_is_already_there(
    refuses: Refuses, run: Run, store: Path, photos: Path, tmp_path: Path
) -> None:
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out")
    assert run(*args).exit_code == 0
    assert run(*args).exit_code == 0, "the same question"
    other = ("query", photos / "green.png", *args[2:], "--name", "red")
    assert "add --overwrite" in refuses(*other)
    assert run(*other, "--overwrite").exit_code == 0
    (tmp_path / "out" / "green").mkdir()
    (tmp_path / "out" / "green" / "mine.txt").write_text("mine")
    line = refuses("query", photos / "green.png", *args[2:], "--overwrite")
    assert str(tmp_path / "out" / "green") in line
    assert "--out" in line


def test_a_video_that_is_gone_or_changed(refuses: Refuses, run: Run, photos: Path, tmp_path: Path) -> None:
    film, store = film_of_two(tmp_path / "a.mp4", seconds=0.5), tmp_path / "s"
    run("index", film, "--store", store, *FAKE)
    moved = film.rename(tmp_path / "moved.mp4")
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out")
    assert run(*args, "--dry-run").exit_code == 0
    assert f"{film} is no longer there" in refuses(*args)
    assert run(*args, "--video", moved).exit_code == 0
    shutil.copy(moved, film)
    with film.open("ab") as file:
        file.write(b"more")
    assert "has changed since it was indexed" in refuses(*args, "--overwrite")


@pytest.mark.parametrize(
    "name", ["two words.mp4", "日本語 Ünï.mp4", "-leading.mp4", "line\nbreak.mp4", "[b]*?.mp4"]
)
def test_names_of_all_kinds(run: Run, tmp_path: Path, name: str, photos: Path) -> None:
    film, store = film_of_two(tmp_path / name, seconds=0.5), tmp_path / "s"
    result = run("index", "--store", store, *FAKE, "--", film)
    assert result.exit_code == 0, result.output
    photo = Path(shutil.copy(photos / "green.png", tmp_path / f"{name}.png"))
    result = run("query", "--store", store, *FAKE, "--out", tmp_path / "out", "--", photo)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "out").iterdir()
    assert not folder.name.startswith("-")
    assert json.loads((folder / "metadata.json").read_text())["clips"][0]["video"]["file"] == name
    for command in ("info", "verify", "remove"):
        assert run(command, "--store", store, "--", name).exit_code == 0


def test_errors_for_scripts_are_one_object(run: Run, tmp_path: Path) -> None:
    result = run("info", "gone.mp4", "--store", tmp_path / "s", "--json")
    assert result.exit_code == 1
    output = json.loads(result.stdout)["error"]
    assert output["kind"] == "NotIndexedError"
    assert output["message"].endswith(" gone.mp4")


def test_debug_shows_the_traceback(run: Run, tmp_path: Path) -> None:
    for args in (("--debug", "info", "x"), ("info", "x", "--debug")):
        assert "Traceback" in run(*args, "--store", tmp_path / "s").stderr
    assert "Traceback" not in run("info", "x", "--store", tmp_path / "s").stderr


def test_ctrl_c_ends_with_a_line(
    run: Run, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(indexing, "progress", interrupt)
    result = run("index", film, "--store", tmp_path / "s", *FAKE)
    assert result.exit_code == 130
    assert result.stderr == "stopped; run it again to resume\n"
    assert not (tmp_path / "s").exists()
