"""A photo becomes a reference: found, chosen, upright; and what is said when it cannot be one."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import EpsImagePlugin
from PIL import Image as Pillow

from facereel.indexer.engines.registry import load_engine
from facereel.query.people.agreement import check_one_person, disagreements
from facereel.query.people.photos import group_photos, read_people
from facereel.query.people.picture import read_photo
from facereel.query.people.reference import find_faces, read_reference
from facereel.query.records import Reference
from facereel.store.files.digest import hash_file
from facereel.store.model.errors import PhotoError
from facereel.store.model.records import Image
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_photo
from tests.program import SAMPLES

ENGINE = FakeEngine()


def portrait(size: tuple[int, int] = (400, 300), side: int = 120) -> Image:
    picture = backdrop(size)
    draw_face(picture, "red", (size[0] // 4, size[1] // 4, side, side))
    return picture


def save(path: Path, picture: Image, **options: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    Pillow.fromarray(np.ascontiguousarray(picture[..., ::-1])).save(path, **options)
    return path


def scene_similarity(one: Reference, other: Reference) -> float:
    return float(one.embedding @ other.embedding)


@pytest.mark.parametrize("suffix", ["jp2", "ppm", "jpg"])
def test_a_folder_takes_every_format_that_can_be_read(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / "anna" / f"1.{suffix}", portrait())
    [person] = read_people(group_photos([tmp_path / "anna"]), ENGINE)
    assert (len(person.references), person.warnings) == (1, ())


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_reads_what_photos_come_in(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"zwei Wörter.{suffix}", portrait())
    reference = read_reference(path, ENGINE)
    assert reference.path == str(path)
    assert reference.sha256 == hash_file(path)
    assert reference.box == pytest.approx([100, 75, 120, 120], abs=6)
    assert np.linalg.norm(reference.embedding) == pytest.approx(1)
    assert 0 < reference.quality <= 1
    assert reference.warnings == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_is_turned_as_the_camera_says(tmp_path: Path, orientation: int) -> None:
    back = {
        1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p),
        7: lambda p: np.rot90(p, 2).transpose(1, 0, 2), 8: lambda p: np.rot90(p, -1),
    }  # fmt: skip
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    upright = portrait()
    path = save(tmp_path / "phone.jpg", back[orientation](upright), exif=exif, quality=95)
    picture = read_photo(path)
    assert picture.shape == upright.shape
    assert np.abs(picture.astype(int) - upright).mean() < 4


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA", "I;16"])
def test_whatever_its_colours_it_comes_as_bgr(tmp_path: Path, mode: str) -> None:
    grey = Pillow.fromarray(portrait()[..., 0])
    picture = grey.convert("I").convert("I;16") if mode == "I;16" else grey.convert("RGB").convert(mode)
    path = tmp_path / ("a.tiff" if mode in ("CMYK", "I;16") else "a.png")
    picture.save(path)
    image = read_photo(path)
    assert image.shape == (300, 400, 3)
    assert image.dtype == np.uint8


def test_a_red_photo_is_red(tmp_path: Path) -> None:
    path = save(tmp_path / "red.png", np.full((40, 50, 3), (10, 20, 200), np.uint8))
    assert read_photo(path)[5, 5].tolist() == [10, 20, 200]


def test_a_large_photo_gives_its_face_in_its_own_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "large.png", portrait((3600, 2400), 900))
    assert read_reference(path, ENGINE).box == pytest.approx([900, 600, 900, 900], rel=0.05)


def test_faces_come_largest_first_and_each_once() -> None:
    picture = backdrop((1000, 500))
    for person, x, side in (("red", 50, 100), ("green", 300, 250), ("blue", 700, 180)):
        draw_face(picture, person, (x, 100, side, side))
    faces = find_faces(picture, ENGINE)
    assert faces.boxes[:, 0] == pytest.approx([300, 700, 50], abs=8)


def test_of_several_the_largest_is_taken_and_said_and_a_number_chooses(tmp_path: Path) -> None:
    group = write_photo(tmp_path / "group.png", "red", "green", size=(480, 240))
    red = read_reference(write_photo(tmp_path / "red.png", "red"), ENGINE)
    green = read_reference(write_photo(tmp_path / "green.png", "green"), ENGINE)
    taken, first, second = (read_reference(group, ENGINE, face) for face in (None, 1, 2))
    assert scene_similarity(taken, red) > 0.9
    assert any("2 faces" in warning and "--face" in warning for warning in taken.warnings)
    assert scene_similarity(first, red) > 0.9
    assert scene_similarity(second, green) > 0.9
    assert not any("--face" in warning for warning in (*first.warnings, *second.warnings))
    for number in (0, 3, -1):
        with pytest.raises(PhotoError, match=f"only 2 faces; --face must be 1 to 2, not {number}"):
            read_reference(group, ENGINE, number)


def test_a_small_face_is_used_with_a_warning(tmp_path: Path) -> None:
    path = save(tmp_path / "small.png", portrait(side=30))
    assert any("px wide" in warning for warning in read_reference(path, ENGINE).warnings)


def unusable(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.jpg"
    if kind == "nobody":
        return save(path, backdrop())
    if kind == "text":
        path.write_text("no photo\n" * 20)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        content = save(path, portrait(), quality=95).read_bytes()
        path.write_bytes(content[: len(content) // 3])
    elif kind == "bomb":
        picture: NDArray[np.uint8] = np.zeros((18_000, 18_000), np.uint8)
        done, data = cv2.imencode(".png", picture)
        assert done
        path.write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "truncated", "nobody", "bomb"])
def test_what_is_no_photo_of_a_face_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = unusable(tmp_path, kind)
    with pytest.raises(PhotoError) as caught:
        read_reference(path, ENGINE)
    message = str(caught.value)
    assert str(path) in message
    assert ";" in message, "a remedy"
    assert "\n" not in message


def test_photos_of_different_people_are_refused_with_the_names_of_those_that_belong_together(
    tmp_path: Path,
) -> None:
    """Before, they were averaged without a word."""
    photos = [
        write_photo(tmp_path / "all" / f"{person}{number}.png", person, size=(240 + 8 * number, 240))
        for person in ("red", "green", "blue")
        for number in range(2)
    ]
    for paths in (photos, [tmp_path / "all"]):
        with pytest.raises(PhotoError) as caught:
            read_people(group_photos(paths), ENGINE)
        message = str(caught.value)
        for person in ("red", "green", "blue"):
            assert f"{person}0.png, {person}1.png" in message
        assert "folder for each person" in message
        assert "\n" not in message
    assert len(read_people(group_photos(photos[:2]), ENGINE)[0].references) == 2


@pytest.mark.slow
def test_of_the_samples_one_person_is_accepted_and_two_are_refused() -> None:
    engine, folder = load_engine(), SAMPLES / "people"
    people = read_people(group_photos([folder]), engine)
    assert sum(len(person.references) for person in people) == 5
    photos = {person.name: [Path(reference.path) for reference in person.references] for person in people}
    for one, other in combinations(photos, 2):
        with pytest.raises(PhotoError, match="different people"):
            read_people(group_photos([*photos[one], *photos[other]]), engine)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.3, 1.5))
def test_whether_photos_are_refused_depends_neither_on_their_order_nor_on_the_engines_scale(
    seed: int, photos: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(2, 1, 16)) + rng.uniform(0.2, 1.5) * rng.normal(size=(2, photos, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).reshape(-1, 16)
    references = [reference(vector) for vector in vectors]

    def refused(given: list[Reference], scale: float = 1.0) -> bool:
        try:
            check_one_person("x", given, scale)
        except PhotoError:
            return True
        return False

    assert refused(references) == refused([references[place] for place in rng.permutation(len(references))])
    # Vectors whose similarities are all `scale` times as large.
    if scale <= 1:
        extra = np.eye(len(vectors)) * np.sqrt(1 - scale)
        scaled = np.concatenate([np.sqrt(scale) * vectors, extra], axis=1)
        assert refused(references) == refused([reference(vector) for vector in scaled], scale)


def test_a_photo_in_which_the_face_is_hard_to_recognise_does_not_count_against_the_others() -> None:
    vectors = np.eye(3)[[0, 0, 1]]
    with pytest.raises(PhotoError):
        check_one_person("x", [reference(vector) for vector in vectors], 1.0)
    check_one_person("x", [reference(vectors[0]), reference(vectors[1]), reference(vectors[2], 0.3)], 1.0)


def test_a_long_list_of_photos_is_shortened() -> None:
    references = [reference(vector) for vector in np.repeat(np.eye(9), 30, axis=0)]
    with pytest.raises(PhotoError) as caught:
        check_one_person("x", references, 1.0)
    assert len(str(caught.value)) < 600


def reference(vector: NDArray[np.float64], quality: float = 0.9) -> Reference:
    return Reference("photo.jpg", "0" * 64, np.zeros(4, np.float32), vector.astype(np.float32), quality)


def test_a_photo_of_somebody_else_is_named(tmp_path: Path) -> None:
    photos = [
        read_reference(write_photo(tmp_path / f"{number}.png", person), ENGINE)
        for number, person in enumerate(("red", "red", "green"))
    ]
    [warning] = disagreements(photos)
    assert warning.startswith(photos[2].path)
    assert disagreements(photos[:2]) == []
    assert disagreements(photos[:1]) == []
    assert len(disagreements([photos[0], photos[2]])) == 2


def test_exif_that_is_nonsense_does_not_spoil_the_photo(tmp_path: Path) -> None:
    """Orientation is taken where it can be read, and the picture as it is elsewhere."""
    plain = Pillow.open(write_photo(tmp_path / "red.png", "red", size=(64, 48)))
    for number, block in enumerate(
        (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0junk")
    ):
        path = tmp_path / f"{number}.jpg"
        plain.convert("RGB").save(path, exif=block)
        assert read_photo(path).shape == (48, 64, 3)


def test_a_progressive_bomb_is_refused_before_its_coefficients_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jpg"
    Pillow.new("RGB", (32, 32)).save(path, progressive=True)
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc2") + 5
    data[place : place + 4] = (12_000).to_bytes(2, "big") * 2
    path.write_bytes(data)
    with pytest.raises(PhotoError, match="12000x12000; scale it below"):
        read_photo(path)


def test_a_program_under_the_name_of_a_photo_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostScript is drawn by running it; formats that nobody takes photos in are not read at all."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args: pytest.fail("it was run"))
    path = tmp_path / "photo.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(PhotoError, match="is a PostScript document"):
        read_photo(path)
