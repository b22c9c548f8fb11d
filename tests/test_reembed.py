"""Another recogniser for an index: as if the video had been looked at again, whole or not at all."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facereel.indexer.engines.registry import load_engine
from facereel.indexer.identity.reembed import reembed_index
from facereel.query import videos
from facereel.store.files import folders
from facereel.store.index import placing, rewrite
from facereel.store.index import reader as video_index
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import StoreError, UnwritableError
from facereel.store.model.records import EngineInfo, FaceCrop, Landmarks
from tests.fake_engine import FakeEngine, backdrop, write_film
from tests.insightface_pack import build_pack
from tests.program import ROOT, SAMPLES, Run

FAKE = ("--engine", "fake")
STORE_0_1 = ROOT / "tests" / "data" / "store-0.1"


def only(store: Path) -> Path:
    (folder,) = folders.index_folders(store)
    return folder


def test_it_is_as_if_the_video_had_been_looked_at_again(
    run: Run, film: Path, store: Path, photos: Path, tmp_path: Path
) -> None:
    run("index", film, "--store", tmp_path / "fresh", "--engine", "fake-other")
    result = run("reembed", "two.mp4", "--store", store, "--engine", "fake-other")
    assert result.exit_code == 0
    assert "two.mp4: " in result.stdout
    assert "recognised by fake-other, before by fake; 2 people, before 2" in result.stdout
    with VideoIndex(only(store)) as anew, VideoIndex(only(tmp_path / "fresh")) as fresh:
        assert (anew.exemplar_arrays().embeddings * fresh.exemplar_arrays().embeddings).sum(
            axis=1
        ) == pytest.approx(1, abs=0.01)
        np.testing.assert_allclose(
            anew.exemplar_arrays().qualities, fresh.exemplar_arrays().qualities, atol=0.05
        )
        assert anew.tracklets() == fresh.tracklets()
        assert anew.clusters() == fresh.clusters()
        assert anew.engine.name == "fake-other"
        assert anew.engine.recognizer_sha256 == fresh.engine.recognizer_sha256
        assert anew.engine.detector_sha256 == load_engine("fake").info.detector_sha256
    assert videos.verify(only(store)).problems == ()
    assert "reembedded from: fake" in run("info", "two.mp4", "--store", store).stdout
    asked = ("query", photos / "green.png", "--store", store, "--dry-run", "--json", "--engine")
    assert len(json.loads(run(*asked, "fake-other").stdout)["results"][0]["clips"]) == 1
    assert run(*asked, "fake").exit_code == 1


def test_what_is_of_that_recogniser_stays_as_it_is(run: Run, store: Path) -> None:
    before = (only(store) / DATABASE).read_bytes()
    result = run("reembed", "all", "--store", store, *FAKE)
    assert "already recognised by fake" in result.stdout
    assert (only(store) / DATABASE).read_bytes() == before


def test_there_and_back_gives_the_same_looks(run: Run, store: Path) -> None:
    with VideoIndex(only(store)) as index:
        crops = [look.jpeg for looks in index.exemplars().values() for look in looks]
    for name in ("fake-new", "fake-other", "fake"):
        assert run("reembed", "all", "--store", store, "--engine", name).exit_code == 0
    with VideoIndex(only(store)) as index:
        again = [look.jpeg for looks in index.exemplars().values() for look in looks]
        assert index.config[rewrite.REEMBEDDED] == "fake"
    np.testing.assert_array_equal(crops, again)


def test_names_go_with_their_tracklets(run: Run, store: Path) -> None:
    with sqlite3.connect(only(store) / DATABASE) as db:
        db.execute("UPDATE clusters SET name = 'Ann' WHERE cluster = 1")
    db.close()
    run("reembed", "all", "--store", store, "--engine", "fake-other")
    with VideoIndex(only(store)) as index:
        assert {person.number: person.name for person in index.clusters()} == {1: "Ann", 2: None}


@pytest.mark.parametrize("step", ["_write_changed", "write_vectors", "swap"])
def test_what_is_interrupted_leaves_the_old_index(
    step: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only(store)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*args: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "swap":
        monkeypatch.setattr(folders, "replace_folders", full_disk)
    else:
        monkeypatch.setattr(placing if step == "write_vectors" else rewrite, step, full_disk)
    with pytest.raises(UnwritableError, match="No space left"):
        reembed_index(folder, load_engine("fake-other"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in store.iterdir() if path.is_dir()] == [folder.name]
    assert videos.verify(folder).problems == ()


def test_an_index_that_was_written_meanwhile_is_not_overwritten(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = only(store), video_index.write_vectors

    def meanwhile(fresh: Path) -> None:
        write(fresh)
        shutil.copy(folder / DATABASE, folder / "newer")
        (folder / "newer").replace(folder / DATABASE)

    monkeypatch.setattr(placing, "write_vectors", meanwhile)
    with pytest.raises(StoreError, match="meanwhile"):
        reembed_index(folder, load_engine("fake-other"))
    with VideoIndex(folder) as index:
        assert index.engine.name == "fake"


def test_an_index_without_a_face_is_reembedded_too(run: Run, tmp_path: Path) -> None:
    empty = write_film(tmp_path / "empty.mp4", [backdrop()] * 20)
    run("index", empty, "--store", tmp_path / "s", *FAKE)
    assert run("reembed", "empty.mp4", "--store", tmp_path / "s", "--engine", "fake-other").exit_code == 0
    assert videos.verify(only(tmp_path / "s")).problems == ()


def test_nothing_to_reembed_is_said(run: Run, tmp_path: Path) -> None:
    assert "holds no index" in run("reembed", "all", "--store", tmp_path / "none", *FAKE).stdout
    assert run("reembed", "film.mp4", "--store", tmp_path / "none", *FAKE).exit_code == 1


@pytest.mark.slow
def test_real_faces_are_recognised_as_when_they_were_indexed(
    run: Run, sample_store: Path, tmp_path: Path
) -> None:
    """Crops are kept as JPEG: that costs no more than 0.02 of cosine at the worst one."""
    store = Path(shutil.copytree(sample_store, tmp_path / "store"))
    pack = build_pack(tmp_path / "yunet_sface")  # the same recogniser as another engine; keeps the landmarks
    assert run("reembed", "all", "--store", store, "--engine", pack).exit_code == 0
    with (
        Catalogue(store).find("sample.mp4") as anew,
        Catalogue(sample_store).find("sample.mp4") as fresh,
    ):
        cosines = (anew.exemplar_arrays().embeddings * fresh.exemplar_arrays().embeddings).sum(axis=1)
        assert cosines.min() >= 0.98
        assert [item.cluster for item in anew.tracklets()] == [item.cluster for item in fresh.tracklets()]
    photo = SAMPLES / "people" / "obama" / "obama2.jpg"
    found = []
    for asked in (("--store", store, "--engine", pack), ("--store", sample_store)):
        results = json.loads(run("query", photo, *asked, "--dry-run", "--json").stdout)["results"]
        found.append([(clip["start"], clip["end"]) for clip in results[0]["clips"]])
    assert found[0] == found[1]
    assert found[0]


class OtherLandmarks(FakeEngine):
    """The same squares, aligned by another landmark model: its points lie lower."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, landmarks_sha256="c" * 64)

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        found = super().landmarks(crops)
        lower = np.array([[0, 0.1 * float(crop.box[3])] for crop in crops], np.float32).reshape(-1, 1, 2)
        return Landmarks(found.points + lower, np.full(len(found), 0.75, np.float32))


def test_other_landmarks_align_the_stored_crops_again(store: Path) -> None:
    with VideoIndex(only(store)) as index:
        before = [look for looks in index.exemplars().values() for look in looks]
    engine = OtherLandmarks()
    assert not reembed_index(only(store), engine).skipped
    with VideoIndex(only(store)) as index:
        after = [look for looks in index.exemplars().values() for look in looks]
        assert index.engine.landmarks_sha256 == "c" * 64
    for old, new in zip(before, after, strict=True):
        lower = np.array([0, 0.1 * float(old.box[3])], np.float32)
        np.testing.assert_allclose(new.landmarks, old.landmarks + lower, atol=0.01)
        assert new.face_probability == 0.75
        assert new.jpeg == old.jpeg
    assert reembed_index(only(store), engine).skipped


def test_faces_that_are_stored_aligned_stay_so(tmp_path: Path) -> None:
    """Of an index of version 0.1 no other landmarks can be had: only another recogniser is worth the work."""
    store = Path(shutil.copytree(STORE_0_1, tmp_path / "old"))
    assert reembed_index(only(store), OtherLandmarks()).skipped
