"""Names are data: whatever a person or a video is called, each format gives it back and nothing else comes of it."""

from __future__ import annotations

import configparser
import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av
import opentimelineio as oti
import pytest
from av.subtitles.subtitle import AssSubtitle
from pycocotools.coco import COCO

from facereel.query.export import editors
from facereel.query.export.annotation import AnnotatedTracklet, AnnotatedVideo
from facereel.query.export.metadata import FORMULA_STARTS
from facereel.query.export.subtitles import WORD_JOINER
from facereel.query.export.timeline import Event, Media, Timeline
from facereel.store.model.records import Sightings
from tests.factories import make_contents, make_video

# As a format of text lines or XML has it; JSON has the name itself.
NAMES = {
    'Bo "B" O\'Neil': 'Bo "B" O\'Neil',
    "<b>Bo</b> & <!-- x": "<b>Bo</b> & <!-- x",
    "]]>&amp;&#10;</name>": "]]>&amp;&#10;</name>",
    "Bo\n001  AX V C 00:00:00:00": "Bo\\n001  AX V C 00:00:00:00",
    "Bo\r\n\r\n2\r\n00:00:01,000": "Bo\\r\\n\\r\\n2\\r\\n00:00:01,000",
    "Bo\u2028Bo\u2029Bo\x85Bo\x00\x1b[31m": "Bo\\u2028Bo\\u2029Bo\\x85Bo\\x00\\x1b[31m",
    "=1+1": "=1+1",
    "+1": "+1",
    "-1": "-1",
    "@SUM(A1)": "@SUM(A1)",
    "\t=1": "\\t=1",
    "{\\an8}Bo": "{\\an8}Bo",
    "1 --> 2": "1 --> 2",
    "100% %s %(name)s": "100% %s %(name)s",
    "caf\udce9": "caf\\xe9",
    "👩‍🚀 שלום": "👩‍🚀 שלום",
    "a,b;c": "a,b;c",
}


def timeline(person: str, video: str) -> Timeline:
    media = Media(
        video, f"../{video}", "../movie.mp4", 64, 48, Fraction(25), 100, 0, False, video, 2, 48_000, True
    )
    event = Event(
        media, person, 0, "sure", 0.5, 10, 20, 10, 20, 0, Fraction(2, 5), Fraction(4, 5), Fraction(0)
    )
    return Timeline(person, Fraction(25), False, (event,))


def annotated(person: str, video: str) -> AnnotatedVideo:
    (run, *_) = make_contents().sightings.values()
    inside = Sightings(run.frames[:1], run.boxes[:1] * 0 + 9, run.scores[:1], run.sources[:1])
    tracklet = AnnotatedTracklet(1, person, "sure", (inside,))
    return AnnotatedVideo("faces", replace(make_video(), path=f"/videos/{video}"), (tracklet,))


Read = tuple[str, str | None]  # the person and the video; None where a format has no place for that


def by_otio(adapter: str) -> Callable[[Path], Read]:
    def read(file: Path) -> Read:
        options = {"rate": 25} if adapter == "cmx_3600" else {}
        text = file.read_bytes().decode()
        clips = list(oti.adapters.read_from_string(text, adapter, **options).tracks[0].find_clips())
        ((name, marker),) = ((clip.name, clip.markers[0].name) for clip in clips)
        return str(marker), str(name)

    return read


def read_fcpxml(file: Path) -> Read:
    """As XML: that names are whole is what counts here."""
    (clip,) = ElementTree.parse(file).iter("asset-clip")
    (marker,) = clip.iter("marker")
    return marker.attrib["value"], clip.attrib["name"]


def read_subtitles(file: Path) -> Read:
    """By FFmpeg, which writes a brace of WebVTT as ASS has one that begins no format."""
    with av.open(str(file)) as container:
        texts = [
            subtitle.ass.split(b",", 8)[8].decode()
            for packet in container.demux(container.streams.subtitles[0])
            for subtitle in packet.decode()
            if isinstance(subtitle, AssSubtitle)
        ]
    (text,) = texts
    return text.replace(WORD_JOINER, "").replace("\\{{}", "{"), None


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        found = list(csv.DictReader(lines))
    assert not [text for row in found for text in row.values() if text.startswith(FORMULA_STARTS)]
    return found


def read_markers(file: Path) -> Read:
    (row,) = rows(file)
    return row["Marker Name"].removeprefix("'"), row["Video"].removeprefix("'")


def read_cvat(file: Path) -> Read:
    root = ElementTree.parse(file).getroot()
    persons = {each.text for each in root.iter("attribute") if each.get("name") == "person"} - {None}
    (person,) = persons
    return str(person), root.findtext("meta/task/source")


def read_mot(file: Path) -> Read:
    (row,) = rows(file.parent / "tracks.csv")
    info = configparser.ConfigParser()
    info.read(file.parent / "seqinfo.ini", encoding="utf-8")
    assert info["Sequence"]["name"] == file.parent.name
    return row["person"].removeprefix("'"), None


def read_coco(file: Path) -> Read:
    read = COCO(str(file))
    (person,) = {each["person"] for each in read.loadAnns(read.getAnnIds())}
    return person, read.dataset["videos"][0]["name"]


READERS: dict[str, Callable[[Path], Read]] = {
    "edl": by_otio("cmx_3600"), "otio": by_otio("otio_json"), "fcpxml": read_fcpxml, "xmeml": by_otio("fcp_xml"),
    "srt": read_subtitles, "vtt": read_subtitles, "csv-markers": read_markers, "cvat": read_cvat, "mot": read_mot,
    "coco": read_coco,
}  # fmt: skip


def written(name: str, person: str, video: str, folder: Path) -> Path:
    files: Sequence[str] = editors.write_timelines([timeline(person, video)], [name], folder, person)
    files = files or editors.write_annotations([annotated(person, video)], [name], folder, person)
    return folder / files[0]


def test_every_format_is_read() -> None:
    assert tuple(READERS) == editors.FORMATS


@pytest.mark.parametrize("name", READERS)
def test_names_are_read_back_and_do_nothing(name: str, tmp_path: Path) -> None:
    for number, (person, escaped) in enumerate(NAMES.items()):
        if name == "coco":
            escaped = person.replace("\udce9", "\\xe9")
        elif name == "srt":
            escaped = escaped.replace("-->", "->")  # which would end the line of times
        texts = ("x", "x") if "\\" in person else (person, escaped)  # a file's name has no backslash or slash
        video, shown = (f"{text}.mp4".replace("/", "_") for text in texts)
        (tmp_path / str(number)).mkdir()
        file = written(name, person, video, tmp_path / str(number))
        assert READERS[name](file) in ((escaped, shown), (escaped, None))
