"""Faces are biometric data: stores are their owner's alone, nothing leaves the machine, nothing foreign is run."""

from __future__ import annotations

import ast
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from facereel.indexer.engines import conversion, opencv_zoo, weights
from facereel.indexer.engines.registry import load_engine
from facereel.indexer.jobs.scratch import scratch_folder
from facereel.query.people import calibration
from facereel.store.files.locks import video_lock
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineError
from facereel.store.model.records import Checkpoint, FrameTimes, Segment
from facereel.store.resume.unfinished import UnfinishedIndex
from tests.program import ROOT, SAMPLES, Run
from tests.test_architecture import PROGRAM, imports, tree, within
from tests.test_calibration import crowd

FAKE = ("--engine", "fake")


def modes(folder: Path) -> set[tuple[str, int]]:
    """What may be done with folders and files, from a folder on."""
    return {
        ("folder" if path.is_dir() else "file", stat.S_IMODE(path.stat().st_mode))
        for path in (folder, *folder.rglob("*"))
    }


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that lets everybody do everything."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless")
def test_a_store_is_its_owners_alone(run: Run, film: Path, photos: Path, tmp_path: Path) -> None:
    """Indexes with all that is derived from them, journals, claims and calibrations, whatever the umask."""
    store, engine = tmp_path / "faceindex", load_engine("fake")
    # A process of its own: workers of this one may have been forked from what was started under another umask.
    words = [sys.executable, "-m", "tests.fake_cli", "index", str(film), "--store", str(store), *FAKE]
    subprocess.run(words, cwd=ROOT, capture_output=True, check=True, timeout=120)
    other = ("--store", store, "--engine", "fake-new")
    for command in (
        ("query", photos / "red.png", "--store", store, *FAKE, "--dry-run"), ("reembed", "two.mp4", *other),
        ("forget", photos / "red.png", *other, "--yes"), ("query", photos / "green.png", *other, "--dry-run"),
    ):  # fmt: skip
        assert run(*command).exit_code == 0
    calibration.write(calibration.measure(crowd(0), engine), store)
    unfinished = UnfinishedIndex(store, "a" * 64, engine.info, 0.4, Config())
    times = FrameTimes(np.arange(1), np.ones(1, np.int64))
    unfinished.add(Segment(0, (), (), Checkpoint(frames=1)), times, resumable=True)
    unfinished.close()
    with video_lock(store, "b" * 64, lambda: None):
        names = {path.name for path in store.rglob("*")}
        assert {"index.db", "vectors.faiss", "library.vectors", "calibration-fake.json"} <= names
        # index, library.vectors, library.db and its journal, unfinished, lock, calibration, plot
        assert len(list(store.iterdir())) == 8
        assert modes(store) == {("folder", 0o700), ("file", 0o600)}


@pytest.mark.parametrize(("mask", "folder", "file"), [(0o077, 0o700, 0o600), (0o027, 0o750, 0o640)])
def test_a_result_is_for_those_for_whom_its_user_makes_files(
    run: Run, store: Path, photos: Path, tmp_path: Path, mask: int, folder: int, file: int
) -> None:
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out")
    before = os.umask(mask)
    try:
        assert run(*args).exit_code == 0
    finally:
        os.umask(before)
    assert modes(tmp_path / "out" / "red") == {("folder", folder), ("file", file)}


SPY = """
import os, sys
def note(text):
    with open(os.environ["NETWORK_LOG"], "a") as file:
        file.write(text + "\\n")
def hook(event, args):
    if event not in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
                     "socket.gethostbyname", "urllib.Request"):
        return
    if getattr(args[0], "family", None) != 1:  # AF_UNIX: by these processes of one machine talk
        note(f"asked: {event} {args}")
        raise OSError("the network is cut off")
sys.addaudithook(hook)
note("spied on")
"""


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first second of the sample film, with real faces."""
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    with av.open(str(SAMPLES / "sample.mp4")) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if packet.dts is None or number >= 25:
                break
            packet.stream = copy
            target.mux(packet)
    return path


def alone() -> list[str]:
    """What runs a command without any network where this system can."""
    words = ["unshare", "--map-root-user", "--net"]
    there = shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if there and there.returncode == 0 else []


def test_nothing_asks_the_network(short: Path, tmp_path: Path) -> None:
    """Neither Python's code, in whatever process of ours, nor the libraries' own, which the kernel counts."""
    (tmp_path / "sitecustomize.py").write_text(SPY)
    log, store = tmp_path / "log", tmp_path / "s"
    photo = SAMPLES / "people" / "biden" / "biden.jpg"
    script = (
        f"set -e; {sys.executable} cli.py index {short} --store {store}; "
        f"{sys.executable} cli.py query {photo} --store {store} --out {tmp_path}; "
        "if [ -f /proc/net/snmp ]; then grep ^Ip: /proc/net/snmp; fi"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NETWORK_LOG": str(log)}
    without = alone()
    done = subprocess.run(
        [*without, "sh", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    assert "short.mp4: " in done.stdout
    assert ", 1 face track, " in done.stdout
    assert "searched: 1 video, " in done.stdout
    noted = log.read_text().splitlines()
    assert set(noted) == {"spied on"}
    assert len(noted) >= 3  # both commands, and what workers are forked from
    asking = "import socket; socket.create_connection(('127.0.0.1', 9))"
    subprocess.run(
        [sys.executable, "-c", asking], env=environment, capture_output=True, check=False, timeout=60
    )
    assert "asked: socket." in log.read_text(), "a spy that sees nothing proves nothing"
    if without:
        names, figures = (line.split() for line in done.stdout.splitlines()[-2:])
        kernel = dict(zip(names, figures, strict=True))
        assert (kernel["OutRequests"], kernel["OutNoRoutes"]) == ("0", "0")


def detector(kind: weights.Weights = opencv_zoo.DETECTOR) -> Path:
    return weights.cached_model(kind, conversion.MODEL_FORMAT, conversion.yunet)


def test_onnx_runtime_leaves_no_trace_of_telemetry(tmp_path: Path) -> None:
    """It writes an identifier into the user's cache folder before it sends anything, from a thread of its own.

    A plain session shows how long that takes here; ours is given as long.
    """
    load = "from facereel.indexer.engines.registry import load_engine; load_engine(); "
    ours = load + "import os, time; time.sleep({seconds}); assert 'ORT_DISABLE_TELEMETRY' not in os.environ"
    model = str(detector())
    plain = (
        "import onnxruntime, pathlib, time; onnxruntime.disable_telemetry_events(); "
        f"session = onnxruntime.InferenceSession({model!r}); start = time.monotonic()\n"
        "def written(): return any(path.is_file() for path in pathlib.Path.home().rglob('*'))\n"
        "while not written() and time.monotonic() - start < 10: time.sleep(0.05)\n"
        "print(time.monotonic() - start)"
    )

    def run(name: str, source: str) -> tuple[str, list[Path]]:
        home = tmp_path / name
        home.mkdir()
        rest = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
        done = subprocess.run(
            [*alone(), sys.executable, "-c", source], cwd=ROOT, check=True, timeout=60, capture_output=True, text=True,
            env=rest | {"HOME": str(home), "FACEREEL_CACHE": str(weights.cache_folder())},
        )  # fmt: skip
        return done.stdout, [path for path in home.rglob("*") if path.is_file()]

    seconds, files = run("plain", plain)
    assert run("ours", ours.format(seconds=min(1.0 + float(seconds), 5.0)))[1] == []
    if not files:
        pytest.skip("this ONNX Runtime leaves no trace here by itself; that ours leaves none proves nothing")


def test_onnx_runtime_is_imported_in_one_place() -> None:
    """So that its telemetry is off wherever it is used first."""
    places = {path.as_posix() for path in PROGRAM for _, name in imports(path) if within(name, "onnxruntime")}
    assert places == {"indexer/engines/runtime.py"}


def test_altered_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both as they come and as they were unpacked: the latter are then unpacked anew."""
    monkeypatch.setenv("FACEREEL_CACHE", str(tmp_path / "cache"))
    model = detector()
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert detector().read_bytes() == whole
    model.unlink()
    changed = replace(opencv_zoo.DETECTOR, sha256="0" * 64)
    with pytest.raises(EngineError, match=r"has SHA-256 49f000ec501f\.\.\., not 000000000000"):
        detector(changed)


RUNS_WHAT_IT_READS = {
    "pickle",
    "cPickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "cloudpickle",
    "torch",
    "yaml",
}
# What these read was written by the same run: by the driver of a cluster, which runs code on its nodes anyway, or by a
# worker into a folder that nobody else can write to (test_the_folder_for_parts_is_ours_alone).
PICKLES_OF_THE_SAME_RUN = {
    "indexer/jobs/cluster.py",
    "indexer/jobs/job.py",
    "indexer/jobs/nodes.py",
    "indexer/jobs/team.py",
    "indexer/parts.py",
}
RUNS_WORDS = {"eval", "exec", "compile", "__import__", "system", "popen"}


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Every call in a module of ours with the last word of what is called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node, getattr(node.func, "attr", getattr(node.func, "id", ""))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="a file has no owner by number here")
def test_the_folder_for_parts_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pickles are read: one that somebody else made beforehand is refused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as folder:
        modes = [stat.S_IMODE(place.stat().st_mode) for place in (folder, folder.parent)]
    assert modes == [0o700, 0o700]
    other = os.getuid() + 1
    folder.parent.rename(tmp_path / f"facereel-{other}")
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(PermissionError, match="belongs to somebody else"), scratch_folder():
        pass


def test_nothing_that_is_read_is_run() -> None:
    found = []
    for path in PROGRAM:
        may_read = {"pickle"} if path.as_posix() in PICKLES_OF_THE_SAME_RUN else set()
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [
                f"{path} imports {name}"
                for name in names
                if name.split(".")[0] in RUNS_WHAT_IT_READS - may_read
            ]
        for call, name in calls(path):
            regular = isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "re"
            words = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if (name in RUNS_WORDS and not regular) or words.get("shell", "False") != "False":
                found.append(f"{path}:{call.lineno} runs {ast.unparse(call)[:60]}")
            if (
                name == "load"
                and ast.unparse(call.func) == "np.load"
                and words.get("allow_pickle") != "False"
            ):
                found.append(f"{path}:{call.lineno} may unpickle")
    assert found == []


class _Sql(ast.NodeVisitor):
    """Finds SQL in a module that is put together of more than constants.

    A local name is constant if all that is assigned to it is. A parameter `query`, `condition` or `begin` is handed
    on: the calls of functions that have one are looked at in its place.
    """

    def __init__(self, path: Path) -> None:
        self.found: list[str] = []
        self._path, self._assigned = path, dict[str, list[ast.expr]]()
        self._in_question: set[str] = set()
        self.visit(tree(path))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Look at the calls of a function with the names that are assigned in it."""
        before, self._assigned = self._assigned, {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Assign):
                target, value = inner.targets[0], inner.value
                pairs = [(target, value)]
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = list(zip(target.elts, value.elts, strict=True))
                for name, part in pairs:
                    if isinstance(name, ast.Name):
                        self._assigned.setdefault(name.id, []).append(part)
            if isinstance(inner, ast.For) and isinstance(inner.target, ast.Name):
                self._assigned.setdefault(inner.target.id, []).append(inner.iter)
        self.generic_visit(node)
        self._assigned = before

    def visit_Call(self, node: ast.Call) -> None:
        """Look at the SQL of a call that takes some."""
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        place = takes_sql().get(name)
        if place is not None and len(node.args) > place and not self._is_constant(node.args[place]):
            self.found.append(f"{self._path}:{node.lineno} {ast.unparse(node)[:80]}")
        self.generic_visit(node)

    def _is_constant(self, node: ast.expr) -> bool:
        """Whether a text is known from the source alone."""
        match node:
            case ast.Constant():
                return True
            case ast.Name(id=name) if name in HANDED_ON and name not in self._assigned:
                return True
            case ast.Name(id=name):
                return name.lstrip("_").isupper() or self._is_made_of_constants(name)
            case ast.Attribute(attr=name):
                return name.lstrip("_").isupper()
            case ast.JoinedStr(values=parts):
                return all(map(self._is_constant, parts))
            case ast.FormattedValue(value=part) | ast.Subscript(value=part):
                return self._is_constant(part)
            case ast.IfExp(body=left, orelse=right) | ast.BinOp(left=left, right=right):
                return self._is_constant(left) and self._is_constant(right)
            case ast.Call(func=ast.Name(id="len")):
                return True  # a number, whatever of
            case ast.Call(func=ast.Attribute(value=text, attr="join" | "format"), args=args, keywords=words):
                return all(map(self._is_constant, (text, *args, *(word.value for word in words))))
        return False

    def _is_made_of_constants(self, name: str) -> bool:
        if name in self._in_question:  # made of itself, and of what else is looked at
            return True
        self._in_question.add(name)
        assigned = self._assigned.get(name, [])
        constant = assigned != [] and all(map(self._is_constant, assigned))
        self._in_question.discard(name)
        return constant


@cache
def takes_sql() -> dict[str, int]:
    """Names of functions with the position of the argument that is SQL: SQLite's and ours."""
    found = {"execute": 0, "executemany": 0, "executescript": 0}
    for path in PROGRAM:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                arguments = [argument for argument in node.args.args if argument.arg not in ("self", "cls")]
                for place, argument in enumerate(arguments):
                    if argument.arg in HANDED_ON and argument.annotation is not None:
                        found |= {node.name: place} if ast.unparse(argument.annotation) == "str" else {}
    return found


HANDED_ON = ("query", "condition", "begin")


def test_sql_is_never_put_together_from_values() -> None:
    assert [found for path in PROGRAM for found in _Sql(path).found] == []
