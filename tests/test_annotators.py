"""Boxes for annotation tools, read back: MOT by `trackers`, COCO by `pycocotools`, CVAT by a reader of its rules."""

from __future__ import annotations

import configparser
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

import numpy as np
import pytest
from pycocotools.coco import COCO

from facereel.query.export import annotation, editors
from facereel.query.export.annotation import AnnotatedTracklet, AnnotatedVideo
from facereel.store.index.reader import VideoIndex
from facereel.store.model.records import Sightings
from tests.factories import make_contents, make_sightings, make_video, write_index
from tests.program import Run

# By number of the frame, from 0, and id.
Boxes: TypeAlias = dict[tuple[int, int], tuple[float, ...]]

FAKE = ("--engine", "fake")


def read_mot(folder: Path) -> Boxes:
    from trackers import load_mot_file  # which takes a second to import

    return {
        (frame - 1, int(number)): tuple(box.tolist())
        for frame, faces in load_mot_file(folder / "gt" / "gt.txt").items()
        for number, box in zip(faces.ids, faces.boxes, strict=True)
    }


def read_coco(file: Path) -> Boxes:
    read = COCO(str(file))
    frames = {image["id"]: image["frame_index"] for image in read.loadImgs(read.getImgIds())}
    found = read.loadAnns(read.getAnnIds())
    return {(frames[each["image_id"]], each["track_id"]): tuple(each["bbox"]) for each in found}


def read_cvat(file: Path) -> Boxes:
    """As CVAT shows a track: a key frame stands until the next one, moved evenly; `outside` hides it until then."""
    root = ElementTree.parse(file).getroot()
    size, boxes = int(root.findtext("meta/task/size", "")), Boxes()
    for track in root.iter("track"):
        keys = {int(each.attrib["frame"]): each.attrib for each in track.iter("box")}
        frames = sorted(frame for frame, key in keys.items() if key["keyframe"] == "1")
        for first, following in zip(frames, [*frames[1:], size], strict=True):
            if keys[first]["outside"] == "1":
                continue
            ends = [
                np.array([float(keys[frame][side]) for side in ("xtl", "ytl", "xbr", "ybr")])
                for frame in (first, following if following in keys else first)
            ]
            for frame in range(first, following):
                x0, y0, x1, y1 = ends[0] + (ends[1] - ends[0]) * (frame - first) / (following - first)
                boxes[frame, int(track.attrib["id"])] = (x0, y0, x1 - x0, y1 - y0)
    return boxes


READERS: dict[str, tuple[str, Callable[[Path], Boxes]]] = {
    "cvat": ("faces_cvat.xml", read_cvat), "mot": ("faces_mot", read_mot), "coco": ("faces_coco.json", read_coco),
}  # fmt: skip


def expected(annotated: AnnotatedVideo, clipped: bool) -> Boxes:
    boxes = Boxes()
    for tracklet in annotated.tracklets:
        for run in tracklet.runs:
            for frame, (x, y, w, h) in zip(run.frames.tolist(), run.boxes.tolist(), strict=True):
                if clipped:
                    right, bottom = min(x + w, annotated.video.width), min(y + h, annotated.video.height)
                    x, y = max(x, 0), max(y, 0)
                    w, h = right - x, bottom - y
                if not clipped or (w > 0 and h > 0):
                    boxes[frame, tracklet.number] = (x, y, w, h)
    return boxes


def assert_same(read: Boxes, wanted: Boxes) -> None:
    assert read.keys() == wanted.keys()
    for key, box in wanted.items():
        assert read[key] == pytest.approx(box, abs=0.006), key  # files have two decimals


def sightings(rng: np.random.Generator, start: int, end: int) -> Sightings:
    """Boxes on and around a picture of 1280x720."""
    boxes = rng.integers((-900, -900, 1, 1), (13_500, 8000, 4000, 4000), (end - start, 4)) / 10
    return replace(make_sightings(rng, start, end), boxes=boxes.astype(np.float32))


def any_video(seed: int) -> AnnotatedVideo:
    """Boxes anywhere, also beyond the picture, of tracklets with gaps, to the first and the last frame."""
    rng = np.random.default_rng(seed)
    spans = (((0, 10), (12, 13)), ((5, 20), (20, 40)), ((39, 40),), ((0, 40),))
    tracklets = (
        AnnotatedTracklet(
            3 * number + 1, f"person {number}", "sure", tuple(sightings(rng, *span) for span in each)
        )
        for number, each in enumerate(spans)
    )
    return AnnotatedVideo("faces", make_video(), tuple(tracklets))


@pytest.mark.parametrize("name", READERS)
def test_every_box_and_id_is_read_back(name: str, tmp_path: Path) -> None:
    file, read = READERS[name]
    for seed in range(5):
        annotated = any_video(seed)
        editors.write_annotations([annotated], [name], tmp_path, "faces")
        wanted = expected(annotated, clipped=name != "mot")
        assert len(wanted) > 60
        assert_same(read(tmp_path / file), wanted)


def test_every_face_of_an_index_is_read_back(tmp_path: Path) -> None:
    contents = make_contents(seed=4, tracklets=12)
    with VideoIndex(write_index(tmp_path / "store", contents)) as index:
        annotated = annotation.of_index("faces", index, {2: "Grace"}, 0)
        longest = annotation.of_index("faces", index, {}, 0.5)
    assert {each.number: each.person for each in annotated.tracklets} == {
        item.number: "Grace" if item.number == 2 else "" for item in contents.tracklets
    }
    assert 0 < len(longest.tracklets) < len(annotated.tracklets)
    editors.write_annotations([annotated], [*READERS], tmp_path, "faces")
    for name, (file, read) in READERS.items():
        assert_same(read(tmp_path / file), expected(annotated, clipped=name != "mot"))


def test_a_sequence_of_mot_is_described(tmp_path: Path) -> None:
    annotated = any_video(1)
    editors.write_annotations([annotated], ["mot"], tmp_path, "100% faces")
    folder = tmp_path / "100% faces_mot"
    found = configparser.ConfigParser()
    found.read(folder / "seqinfo.ini", encoding="utf-8")
    assert dict(found["Sequence"]) == {
        "name": folder.name, "imdir": "img1", "framerate": "30", "seqlength": "40", "imwidth": "1280",
        "imheight": "720", "imext": ".jpg",
    }  # fmt: skip
    with (folder / "tracks.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [(row["id"], row["person"]) for row in csv.DictReader(file)] == [
            (str(each.number), each.person) for each in annotated.tracklets
        ]
    inside = {key: box[2] * box[3] for key, box in expected(annotated, clipped=True).items()}
    for line in (folder / "gt" / "gt.txt").read_text().splitlines():
        frame, number, _, _, w, h, counts, label, visibility = map(float, line.split(","))
        assert (counts, label) == (1, 1)
        share = inside.get((int(frame) - 1, int(number)), 0) / (w * h)
        assert visibility == pytest.approx(share, abs=0.002)
    assert (folder / "gt" / "labels.txt").read_text() == "face\n"


def test_coco_has_every_frame_of_the_source(tmp_path: Path) -> None:
    editors.write_annotations([any_video(2)], ["coco"], tmp_path, "faces")
    read = COCO(str(tmp_path / "faces_coco.json"))
    assert [image["file_name"] for image in read.loadImgs([0, 39])] == [
        "frame_000000.jpg",
        "frame_000039.jpg",
    ]
    assert read.getImgIds() == [*range(40)]
    assert {each["person"] for each in read.loadAnns(read.getAnnIds())} <= {f"person {n}" for n in range(4)}
    assert read.loadCats(read.getCatIds()) == [{"id": 1, "name": "face", "supercategory": "person"}]


def test_each_video_has_its_files(tmp_path: Path) -> None:
    one = any_video(0)
    videos = [replace(one, video=make_video(path)) for path in ("/a/one.mp4", "/b/ONE.mp4", "/b/two.mp4")]
    names = editors.write_annotations(videos, ["cvat", "mot", "cvat"], tmp_path, "anna")
    assert [name for name in names if "gt" not in name and "csv" not in name] == [
        "anna_one_cvat.xml", "anna_ONE_2_cvat.xml", "anna_two_cvat.xml",
        "anna_one_mot/seqinfo.ini", "anna_ONE_2_mot/seqinfo.ini", "anna_two_mot/seqinfo.ini",
    ]  # fmt: skip
    assert "name=anna_ONE_2_mot\n" in (tmp_path / "anna_ONE_2_mot" / "seqinfo.ini").read_text()


def test_a_query_exports_the_boxes_of_its_clips(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    formats = [word for name in READERS for word in ("--export", name)]
    for _ in range(2):  # the second replaces the first, with the folder in it
        result = run("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path, *formats)
        assert result.exit_code == 0, result.output
    folder = tmp_path / "red"
    document = json.loads((folder / "metadata.json").read_text())
    boxes = {
        (frame["frame"], clip["tracklet"]): tuple(frame["box"])
        for clip in document["clips"]
        for frame in clip["frames"]
    }
    for name, (file, read) in READERS.items():
        assert_same(read(folder / file.replace("faces", "red")), boxes)
        assert any(name in each for each in document["exports"])
    (folder / "red_mot" / "img1").mkdir()  # where the tools expect pictures
    result = run("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path)
    assert result.exit_code == 1
    assert "img1" in result.stderr


def test_people_or_all_faces_are_exported(run: Run, store: Path, tmp_path: Path) -> None:
    args = ("--store", store, *FAKE, "--out", tmp_path, "--format", "mot", "--format", "coco")
    for who, name in (("--everybody", "people"), ("--faces", "faces")):
        result = run("export", "two.mp4", who, *args)
        assert result.exit_code == 0, result.output
        numbers = {number for _, number in read_mot(tmp_path / f"two_{name}_mot")}
        assert len(numbers) == 3
    document = json.loads((tmp_path / "two_faces_coco.json").read_text())
    assert {each["person"] for each in document["annotations"]} == {"person 1", "person 2"}
    assert {each["certainty"] for each in document["annotations"]} == {None}
    result = run("export", "two.mp4", "--faces", *args, "--min-duration", "9")
    assert "no file was written" in result.stdout


def test_faces_need_no_video(run: Run, store: Path, film: Path, tmp_path: Path) -> None:
    """The boxes are in the index; only timelines ask the file for its timecode."""
    moved = film.rename(tmp_path / "moved.mp4")
    try:
        args = ("two.mp4", "--faces", "--format", "cvat", "--store", store, *FAKE, "--out", tmp_path)
        assert run("export", *args).exit_code == 0
    finally:
        moved.rename(film)
    assert read_cvat(tmp_path / "two_faces_cvat.xml")


def test_a_face_that_matches_two_people_is_the_surer_ones(film_store: Path, tmp_path: Path) -> None:
    from facereel.api import Library
    from facereel.query.clips.plan import plan_clips

    library = Library(film_store, engine="fake")
    found = library.find_many(library.everybody("two.mp4")).answers[0]._found
    clips, _ = plan_clips(found.matches, found.times)
    less = [replace(clip, match=replace(clip.match, certainty="possible", similarity=1.0)) for clip in clips]
    for people in ([("Anna", clips), ("Ben", less)], [("Ben", less), ("Anna", clips)]):
        (annotated,) = annotation.of_clips("x", people)
        assert {(each.person, each.certainty, len(each.runs)) for each in annotated.tracklets} == {
            ("Anna", "sure", 1)
        }


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--faces", "--everybody", "--format", "cvat"), 2, "--faces"),
        (("--faces", "--format", "edl"), 1, "cvat, mot, coco"),
    ],
)
def test_wrong_exports_are_refused(
    run: Run, store: Path, args: tuple[str, ...], code: int, words: str
) -> None:
    result = run("export", "two.mp4", *args, "--store", store, *FAKE)
    assert result.exit_code == code
    assert words in result.stderr
