"""Packs through the real `insightface` package: they agree with the engine whose weights they hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from insightface.utils import storage

from facereel.indexer.engines import packs
from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import load_engine
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import probe, read_frames
from facereel.store.model.boxes import iou
from facereel.store.model.errors import EngineError, OptionError
from facereel.store.model.records import Image
from tests.insightface_pack import build_pack

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pack(tmp_path_factory.mktemp("packs") / "yunet_sface")


@pytest.fixture(scope="module")
def pack(folder: Path) -> FaceEngine:
    return load_engine(str(folder))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without packs; the folder where the package would keep them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".insightface" / "models"


def real_pictures() -> list[Image]:
    """Photos of the samples at several sizes, frames of the sample film and, when it is there, of the footage."""
    found = []
    for path in sorted((ROOT / "samples" / "people").glob("*/*.jpg")):
        picture = cv2.imread(str(path))
        assert picture is not None
        for side in (200, 640):
            scale = side / max(picture.shape[:2])
            found.append(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    films = [ROOT / "samples" / "sample.mp4"]
    if footage := os.environ.get("FACEREEL_MEDIA"):
        films += [Path(footage) / name for name in ("hamilton.mp4", "herapheri.mp4")]
    for film in films:
        video = probe(film)
        found += [
            frame.image(video.width, video.height)
            for frame in read_frames(video, DecodeLog())
            if frame.index % 45 == 10
        ]
    return [np.asarray(picture, np.uint8) for picture in found]


@pytest.mark.slow
def test_a_pack_sees_what_the_engine_sees_whose_weights_it_holds(pack: FaceEngine) -> None:
    default, faces, cosines = load_engine(), 0, []
    for picture in real_pictures():
        ours, theirs = default.detect(picture), pack.detect(picture)
        sure = ours.boxes[ours.scores > 0.5]
        assert len(sure) == (theirs.scores > 0.5).sum()
        if not len(sure):
            continue
        overlaps = iou(sure, theirs.boxes)
        assert overlaps.max(axis=1).min() >= 0.9
        faces += len(sure)
        crops = [
            np.stack([align(picture, found.landmarks[place]) for place in places])
            for found, places in ((ours, range(len(sure))), (theirs, overlaps.argmax(axis=1)))
        ]
        one, other = default.embed(crops[0]), pack.embed(crops[1])
        cosines += (one.vectors * other.vectors).sum(axis=1).tolist()
        assert np.abs(one.face_confidences - other.face_confidences).max() < 0.15
    assert faces > 40
    assert min(cosines) >= 0.98


def test_the_index_says_which_files_were_used(folder: Path, pack: FaceEngine) -> None:
    from facereel.store.files.digest import hash_file

    assert pack.info.detector_sha256 == hash_file(folder / "det.onnx")
    assert pack.info.recognizer_sha256 == hash_file(folder / "rec.onnx")


def test_batches_are_cut_for_a_recogniser_that_takes_one(
    folder: Path, pack: FaceEngine, tmp_path: Path
) -> None:
    single = shutil.copytree(folder, tmp_path / "single")
    model = onnx.load(str(single / "rec.onnx"))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, str(single / "rec.onnx"))
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3)).astype(np.uint8)
    np.testing.assert_allclose(
        load_engine(str(single)).embed(crops).vectors, pack.embed(crops).vectors, atol=1e-4
    )


@pytest.mark.parametrize("name", ["buffalo_l", "antelopev2", "raccoon_s"])
def test_a_missing_pack_is_not_fetched_but_the_message_says_how(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "download_file", lambda *args, **options: pytest.fail("fetched unasked"))
    with pytest.raises(EngineError) as caught:
        load_engine(name)
    said = str(caught.value)
    assert f"facereel engines --get {name}" in said
    assert str(home / name) in said
    assert "non-commercial" in said
    assert "\n" not in said


def test_a_pack_put_by_hand_is_known_by_its_name(folder: Path, home: Path) -> None:
    shutil.copytree(folder, home / "buffalo_l")
    assert load_engine("buffalo_l").info.name == "buffalo_l"
    shutil.copytree(folder, home / "antelopev2" / "antelopev2")  # as its archive unpacks
    assert load_engine("antelopev2").info.name == "antelopev2"
    shutil.copytree(folder, home / "my_own")
    assert load_engine("my_own").info.name == "my_own"


def test_fetching_goes_through_the_package_and_is_whole_or_not_at_all(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def served(url: str, path: str, overwrite: bool) -> None:
        assert url.endswith("/buffalo_s.zip")
        Path(path).parent.mkdir(parents=True)  # as the package does
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.glob("*.onnx"):
                archive.write(file, file.name)

    monkeypatch.setattr(storage, "download_file", served)
    assert packs.fetch("buffalo_s") == home / "buffalo_s"
    assert load_engine("buffalo_s").info.name == "buffalo_s"
    assert capsys.readouterr().out == ""

    def torn(url: str, path: str, overwrite: bool) -> None:
        served("/buffalo_s.zip", path, overwrite)
        Path(path).write_bytes(Path(path).read_bytes()[:1000])

    def unplugged(url: str, path: str, overwrite: bool) -> None:
        raise OSError("HTTPSConnectionPool\nlong story")  # as the errors of requests are

    for broken in (torn, unplugged):
        monkeypatch.setattr(storage, "download_file", broken)
        with pytest.raises(EngineError, match="could not be downloaded") as caught:
            packs.fetch("buffalo_l")
        assert str(home / "buffalo_l") in str(caught.value)
        assert "\n" not in str(caught.value)
        assert [path.name for path in home.iterdir()] == ["buffalo_s"]
    with pytest.raises(OptionError, match="buffalo_sc"):
        packs.fetch("opencv-zoo")


@pytest.mark.parametrize("missing", ["det.onnx", "rec.onnx", "both", "torn"])
def test_a_folder_that_is_no_pack_is_said_in_one_line(folder: Path, missing: str, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    if missing == "torn":
        (broken / "det.onnx").write_bytes((broken / "det.onnx").read_bytes()[:5000])
    for name in ("det.onnx", "rec.onnx") if missing == "both" else (missing,):
        (broken / name).unlink(missing_ok=True)
    with pytest.raises(EngineError, match="broken") as caught:
        load_engine(str(broken))
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_said_with_what_to_install(folder: Path) -> None:
    for name in (str(folder), "opencv-zoo"):
        with pytest.raises(EngineError, match="onnxruntime-gpu"):
            load_engine(name, Compute("cuda"))
        with pytest.raises(EngineError, match="macOS"):
            load_engine(name, Compute("coreml"))
        with pytest.raises(OptionError, match="auto, cpu, cuda, coreml"):
            load_engine(name, Compute("abacus"))
        assert load_engine(name, Compute("cpu", threads=1)).threads == 1


def test_the_default_engine_does_not_wait_for_insightface() -> None:
    source = (
        "import sys; from facereel.indexer.engines.registry import load_engine; load_engine(); "
        "print('insightface' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


def test_without_the_package_the_message_names_the_extra(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs need the extra `insightface`, which a plain installation does not have."""
    monkeypatch.setattr(packs, "find_spec", lambda name: None)
    for attempt in (lambda: load_engine(str(folder)), lambda: packs.fetch("buffalo_l")):
        with pytest.raises(EngineError, match=r'pip install "facereel\[insightface\]"'):
            attempt()
    assert not list(home.rglob("*.onnx"))
