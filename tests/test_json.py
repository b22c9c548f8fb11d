"""The object of `--json` of every command is the one that its schema describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import facereel
from facereel import __version__, cli
from facereel.query.terminal import console
from facereel.store.files.names import with_escapes
from tests.fake_engine import write_photo
from tests.program import ROOT, Run

FAKE = ("--engine", "fake")
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "query/export/schemas").glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()]
)


def check(document: dict[str, Any], name: str) -> None:
    """Validate a document; raises jsonschema.ValidationError."""
    assert document["schema"] == f"facereel.{name}/2"
    assert document["facereel_version"] == __version__
    Draft202012Validator(SCHEMAS[name], registry=REGISTRY).validate(document)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A folder with photos of three people, of whom one has no usable photo."""
    for name, person in (("Anna", "red"), ("Bert", "green")):
        write_photo(tmp_path / "people" / name / "1.png", person)
    write_photo(tmp_path / "people" / "nobody" / "1.png")
    return tmp_path / "people"


def test_every_command_has_a_schema() -> None:
    commands = {command.name or command.callback.__name__ for command in cli.app.registered_commands}  # type: ignore[union-attr]  # each has a callback
    commands |= {str(group.typer_instance.info.name) for group in cli.app.registered_groups}  # type: ignore[union-attr]  # each has one
    assert commands == set(console.COMMANDS)
    # What serve shows is a page; whoever wants data has the other commands.
    assert commands - {"serve", "library"} | {"library-merge"} <= set(SCHEMAS)
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "value", [{}, [], {"a": {"b": [1.5, None, "é\udce9"], "c": {}}, "d": ({"e": [{"f": [[{"g": True}]]}]},)}]
)
def test_json_has_a_line_for_each_item_down_to_a_level(
    capsys: pytest.CaptureFixture[str], value: Any
) -> None:
    """A clip has a box for each frame, which nobody reads line by line."""
    console.say_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == json.loads(json.dumps(with_escapes(value)))
    assert text.isascii()
    assert max(len(line) - len(line.lstrip()) for line in text.splitlines()) <= 5
    console.say_json(value, one_line=True)
    assert json.loads(text) == json.loads(line := capsys.readouterr().out)
    assert line.count("\n") == 1


def test_objects_are_those_of_their_schemas(
    run: Run, store: Path, film: Path, photos: Path, people: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    red, at, out = photos / "red.png", ("--store", store), ("--out", tmp_path / "out")
    for name, code, args in (
        ("index", 1, ("index", film, broken, *at, *FAKE)),
        ("query", 0, ("query", red, *at, *FAKE, *out, "--export", "edl")),
        (
            "query",
            0,
            ("query", red, *at, *FAKE, "--dry-run", "--absolute", "--explain", "--threshold", "0.99999"),
        ),
        ("query", 1, ("query", people, *at, *FAKE, *out)),
        ("list", 0, ("list", *at)),
        ("info", 0, ("info", "two.mp4", *at)),
        ("faces", 0, ("faces", "two.mp4", *at, "--out", tmp_path / "sheet.png")),
        ("export", 0, ("export", "two.mp4", "--everybody", *at, *FAKE, *out)),
        ("blur", 0, ("blur", "two.mp4", "--only", red, *at, *FAKE, *out)),
        (
            "dataset",
            0,
            ("dataset", "--everybody", *at, *FAKE, "--out", tmp_path / "set", "--min-seconds", "0.5"),
        ),
        ("verify", 0, ("verify", *at)),
        ("engines", 0, ("engines",)),
        ("reembed", 0, ("reembed", "all", *at, *FAKE)),
        ("people", 0, ("people", *at)),
        ("people-sheet", 0, ("people", "sheet", *at, "--out", tmp_path / "people.png")),
        ("people-change", 0, ("people", "name", "two.mp4#1", "Anna", *at)),
        ("people-change", 0, ("people", "accept", "Anna", "two.mp4#t1", *at)),
        ("people-change", 0, ("people", "split", "Anna", "two.mp4#t2", *at)),
        ("people-change", 0, ("people", "merge", "Anna", "two.mp4#2", *at)),
        ("people-show", 0, ("people", "show", "Anna", *at)),
        ("people-data", 0, ("people", "show", "Anna", "--data", *at)),
        ("people-undo", 0, ("people", "undo", *at)),
        ("people-log", 0, ("people", "log", *at)),
        ("people-suggest", 0, ("people", "suggest", *at)),
        ("people-backup", 0, ("people", "backup", tmp_path / "backup.json", *at)),
        ("people-restore", 0, ("people", "restore", tmp_path / "backup.json", *at)),
        ("query", 0, ("query", "--person", "Anna", *at, *FAKE, "--out", tmp_path / "persons")),
        ("query", 0, ("query", "--everybody", *at, *FAKE, "--dry-run")),
        ("faces", 0, ("faces", "two.mp4", *at, "--out", tmp_path / "sheet.png")),
        ("forget", 0, ("forget", "Anna", *at, *FAKE, "--dry-run")),
        ("forget", 0, ("forget", red, *at, *FAKE, "--dry-run")),
        ("forget", 0, ("forget", red, *at, *FAKE, "--yes")),
        ("remove", 0, ("remove", "two.mp4", *at)),
        ("library-merge", 0, ("library", "merge", store, "--store", tmp_path / "merged")),
        ("error", 1, ("info", "two.mp4", *at)),
        ("error", 2, ("query", "--nonsense")),
        ("error", 2, ("nonsense",)),
    ):
        result = run(*args, "--json")
        assert result.exit_code == code, (args, result.output)
        check(json.loads(result.stdout), name)
    check_metadata = json.loads((tmp_path / "out" / "red" / "metadata.json").read_text())
    check(check_metadata, "clips")


def test_lines_are_what_happens_and_last_the_result(run: Run, film: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    result = run("index", film, broken, "--store", tmp_path / "s", *FAKE, "--json-lines", "--jobs", 1)
    assert result.exit_code == 1
    *lines, last = map(json.loads, result.stdout.splitlines())
    for line in lines:
        check(line, "index-line")
    check(last, "index")
    assert [line["result"] for line in lines if line["event"] == "done"] == last["videos"]
    started = [(line["video"], line["number"]) for line in lines if line["event"] == "started"]
    assert started == [(str(film), 1), (str(broken), 2)]
    assert any(line["event"] == "progress" and line["stage"] == "indexing" for line in lines)


def test_one_person_and_many_have_one_shape_and_one_that_fails_does_not_stop_the_others(
    run: Run, store: Path, people: Path
) -> None:
    args = ("--store", store, *FAKE, "--dry-run", "--json")
    one = json.loads(run("query", people / "Anna", *args).stdout)
    result = run("query", people, *args)
    many = json.loads(result.stdout)
    assert one.keys() == many.keys()
    assert [person["name"] for person in many["results"]] == ["Anna", "Bert"]
    assert [person["name"] for person in many["failed"]] == ["nobody"]
    assert many["failed"][0]["error"]["kind"] == "PhotoError"
    assert [len(person["clips"]) for person in many["results"]] == [2, 1]
    assert result.exit_code == 1
    assert "error: nobody: " in result.stderr


def test_a_result_that_cannot_be_written_does_not_hide_those_before_it(
    run: Run, store: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = facereel.Answer.cut

    def fill_the_place(answer: facereel.Answer, out: str | Path, **options: Any) -> facereel.Result:
        """Another program writes a folder of Bert's name while Anna's clips are cut."""
        (tmp_path / "out" / "Bert").mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / "Bert" / "letter.txt").write_text("dear")
        return cut(answer, out, **options)

    monkeypatch.setattr(facereel.Answer, "cut", fill_the_place)
    (people / "nobody" / "1.png").unlink()
    (people / "nobody").rmdir()
    result = run("query", people, "--store", store, *FAKE, "--out", tmp_path / "out", "--json")
    output = json.loads(result.stdout)
    check(output, "query")
    assert [one["folder"] for one in output["results"]] == [str(tmp_path / "out" / "Anna")]
    assert [(one["name"], one["error"]["kind"]) for one in output["failed"]] == [
        ("Bert", "ResultExistsError")
    ]
    assert result.exit_code == 1


def test_usage_errors_are_objects_only_where_they_are_wanted(run: Run) -> None:
    output = json.loads(run("query", "--json").stdout)
    assert output["error"]["kind"] == "UsageError"
    assert "nobody to search for" in output["error"]["message"]
    assert run("query").stdout == ""
