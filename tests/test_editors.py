"""Timelines for editing programs, read back by other people's readers."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import opentimelineio as oti
import pytest
from av.subtitles.subtitle import AssSubtitle
from opentimelineio.opentime import RationalTime

from facereel import Library
from facereel.indexer.media.tags import SourceTags, source_tags
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.export import editors
from facereel.query.export.edl import edl
from facereel.query.export.fcpxml import fcpxml
from facereel.query.export.timecode import frames_of, nominal_rate, timecode_of
from facereel.query.export.timeline import Timeline, media_of, place, timelines
from facereel.query.export.xmeml import xmeml
from facereel.query.records import MatchingTracklet
from facereel.query.terminal import options
from facereel.store.model.errors import ResultExistsError
from facereel.store.model.records import FrameTimes, Shot, Sightings, Tracklet, Video
from tests.factories import make_video
from tests.program import Run

NTSC = Fraction(1000, 1001)
SPANS = ((0, 10), (37, 90), (100, 101), (250, 400))  # frames
FAKE = ("--engine", "fake")

# rate, ticks a second, the first tick, timecode of the file, channels
SOURCES = {
    "23.976": (24 * NTSC, 24000, 0, None, 2),
    "23.976, ticks of 1 ms": (24 * NTSC, 1000, 0, None, 0),
    "24 from an hour on": (Fraction(24), 12288, 0, "01:00:00:00", 2),
    "25": (Fraction(25), 12800, 0, None, 1),
    "25, picture after the sound": (Fraction(25), 90000, 7200, "10:59:58:12", 2),
    "29.97": (30 * NTSC, 30000, 0, "01:00:00:00", 2),
    "29.97 drop-frame": (30 * NTSC, 30000, 0, "00:59:58;20", 2),
    "29.97 drop-frame, a day's end": (30 * NTSC, 30000, 0, "23:59:55;00", 2),
    "30": (Fraction(30), 90000, 0, None, 0),
    "50": (Fraction(50), 12800, 0, "01:00:00:00", 2),
    "59.94": (60 * NTSC, 60000, 0, "01:00:00:00", 2),
    "59.94 drop-frame": (60 * NTSC, 60000, 0, "00:58:59;58", 2),
}


SHOTS = (Shot(0, 0, 30), Shot(1, 30, 95), Shot(2, 95, 500))


def match_of(video: Video, start: int, end: int, number: int) -> tuple[MatchingTracklet, Sightings]:
    frames = np.arange(start, end)
    sightings = Sightings(
        frames, np.full((end - start, 4), 50, np.float32), np.ones(end - start, np.float32),
        np.zeros(end - start, np.uint8),
    )  # fmt: skip
    shot = next(shot.number for shot in SHOTS if shot.start <= start < shot.end)
    tracklet = Tracklet(number, shot, start, end, "occlusion", "occlusion", 0, 50.0, 1.0)
    return MatchingTracklet(video, tracklet, 0.7, 0.5, "photo", "similar"), sightings


def even_times(rate: Fraction, ticks: int, first: int = 0, count: int = 500) -> FrameTimes:
    edges = np.array([first + round(frame * ticks / rate) for frame in range(count + 1)])
    return FrameTimes(edges[:-1], np.diff(edges))


def one_timeline(
    video: Video, times: FrameTimes, tags: SourceTags, people: Sequence[str] = ("Anna",), handles: int = 0
) -> Timeline:
    matches = [match_of(video, *span, number) for number, span in enumerate(SPANS)]
    clips, _ = plan_clips(
        matches, {video.sha256: times}, ClipOptions("none", handles=handles), {Path(): SHOTS}
    )
    media = media_of(video, times, tags, Path("/results"))
    (timeline,) = timelines(
        "Anna", [(person, clips) for person in people], {video.sha256: media}, {video.sha256: times}
    )
    return timeline


def source(name: str, path: str = "/videos/movie.mp4", people: Sequence[str] = ("Anna",)) -> Timeline:
    rate, ticks, first, timecode, channels = SOURCES[name]
    times = even_times(rate, ticks, first)
    video = replace(
        make_video(path, frame_count=500), time_base=Fraction(1, ticks), origin_pts=0, frame_rate=rate
    )
    return one_timeline(video, times, SourceTags(timecode, "A001", channels, 48_000), people)


def first_frame(name: str) -> int:
    """The timecode of a source's first frame by OpenTimelineIO, in frames."""
    rate, *_, timecode, _ = SOURCES[name]
    return int(oti.opentime.from_timecode(timecode or "00:00:00:00", float(rate)).value)


@pytest.mark.parametrize("name", SOURCES)
def test_an_edl_is_read_back_exactly(name: str) -> None:
    rate, start = float(SOURCES[name][0]), first_frame(name)
    read = oti.adapters.read_from_string(edl(source(name)), "cmx_3600", rate=rate)
    clips = list(next(track for track in read.tracks if track.name == "V").find_clips())
    assert len(clips) == len(SPANS)
    after_a_day, position = start - 24 * 6 * 17_982, 0  # frames of ten minutes of 29.97 drop-frame
    for each, (first, end) in zip(clips, SPANS, strict=True):
        own = each.source_range
        assert own.duration == RationalTime(end - first, rate)
        at = own.start_time.to_frames()
        assert at in (start + first, after_a_day + first)
        record = each.range_in_parent()
        assert (record.start_time.to_frames(), record.duration.to_frames()) == (position, end - first)
        position += end - first
        assert each.name == "movie.mp4"
        assert each.markers[0].name == "Anna"


@pytest.mark.parametrize("name", SOURCES)
def test_an_otio_file_is_read_back_exactly(name: str) -> None:
    rate, start = float(SOURCES[name][0]), first_frame(name)
    text = editors.TIMELINES["otio"].write(source(name))
    read = oti.adapters.read_from_string(text, "otio_json")
    assert [track.kind for track in read.tracks] == ["Video", "Audio"][: 1 + bool(SOURCES[name][4])]
    for track in read.tracks:
        for each, (first, end) in zip(track.find_clips(), SPANS, strict=True):
            assert each.source_range.start_time == RationalTime(start + first, rate)
            assert each.source_range.duration == RationalTime(end - first, rate)
            assert each.available_range().start_time == RationalTime(start, rate)
            assert each.available_range().duration == RationalTime(500, rate)
            assert each.markers[0].marked_range == each.source_range


def test_no_track_or_clip_of_xmeml_leaves_out_that_it_is_enabled() -> None:
    """Some readers, which know the files of Premiere alone, look for it."""
    root = ElementTree.fromstring(xmeml(source(next(name for name, own in SOURCES.items() if own[4]))))
    items = [*root.iter("track"), *root.iter("clipitem")]
    assert len(items) > 2
    assert {item.findtext("enabled") for item in items} == {"TRUE"}


@pytest.mark.parametrize("name", SOURCES)
def test_xmeml_is_read_back_exactly(name: str) -> None:
    rate, start = float(SOURCES[name][0]), first_frame(name)
    read = oti.adapters.read_from_string(xmeml(source(name)), "fcp_xml")
    assert [track.kind for track in read.tracks] == ["Video", "Audio", "Audio"][: 1 + SOURCES[name][4]]
    for track in read.tracks:
        position = 0
        for each, (first, end) in zip(track.find_clips(), SPANS, strict=True):
            own = each.source_range
            assert own.start_time.rate == pytest.approx(rate, rel=1e-9)
            assert (own.start_time.value, own.duration.value) == (start + first, end - first)
            assert each.range_in_parent().start_time.value == position
            assert each.available_range().duration.value == 500
            position += end - first
    markers = [each.markers[0] for each in read.tracks[0].find_clips()]
    assert {marker.name for marker in markers} == {"Anna"}
    assert [marker.marked_range.start_time.value for marker in markers] == [first for first, _ in SPANS]


@pytest.mark.parametrize("name", SOURCES)
def test_fcpxml_times_are_exact(name: str) -> None:
    """Read as the format's reference says: its adapter takes 23.976 for 23. It reads the whole rates below."""
    rate, start = SOURCES[name][0], first_frame(name)
    root = ElementTree.fromstring(fcpxml(source(name)))

    def frames(element: ElementTree.Element | None, attribute: str) -> Fraction:
        assert element is not None
        return Fraction(element.attrib[attribute].removesuffix("s")) * rate

    assert frames(root.find("resources/format"), "frameDuration") == 1
    asset = root.find("resources/asset")
    assert (frames(asset, "start"), frames(asset, "duration")) == (Fraction(start), Fraction(500))
    record = frames(root.find("event/project/sequence"), "tcStart")
    for each, (first, end) in zip(root.iter("asset-clip"), SPANS, strict=True):
        own = (frames(each, "offset"), frames(each, "start"), frames(each, "duration"))
        assert own == (record, Fraction(start + first), Fraction(end - first))
        marker = each.find("marker")
        assert frames(marker, "start") == start + first
        record += end - first


@pytest.mark.parametrize("name", [name for name in SOURCES if SOURCES[name][0].denominator == 1])
def test_fcpxml_is_read_back_exactly(name: str) -> None:
    rate, start = float(SOURCES[name][0]), first_frame(name)
    read = oti.adapters.read_from_string(fcpxml(source(name)), "fcpx_xml")
    clips = list(read.find_clips())
    for each, (first, end) in zip(clips, SPANS, strict=True):
        assert each.source_range.start_time == RationalTime(start + first, rate)
        assert each.source_range.duration == RationalTime(end - first, rate)
        assert each.markers[0].name == "Anna"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def cues(path: Path) -> list[tuple[int, int, str]]:
    """Start and end in milliseconds, and the text, by FFmpeg."""
    with av.open(str(path)) as container:
        read = []
        for packet in container.demux(container.streams.subtitles[0]):
            for subtitle in packet.decode():
                assert isinstance(subtitle, AssSubtitle)
                start, text = int(packet.pts or 0), subtitle.ass.split(b",", 8)[8].decode()
                read.append((start, start + int(packet.duration or 0), text))
        return read


@pytest.mark.parametrize("ending", ["srt", "vtt"])
@pytest.mark.parametrize("name", SOURCES)
def test_subtitles_last_exactly_the_frames_of_the_clips(name: str, ending: str, tmp_path: Path) -> None:
    timeline = source(name)
    (file,) = editors.write_timelines([timeline], [ending], tmp_path, "anna")
    read = cues(tmp_path / file)
    times = even_times(*SOURCES[name][:3])
    shown = np.append(times.pts, times.end_pts(500)) * 1000 / SOURCES[name][1]  # milliseconds
    assert [tuple(np.searchsorted(shown, cue[:2])) for cue in read] == [*SPANS]
    assert {cue[2] for cue in read} == {"Anna"}


def test_markers_are_a_table(tmp_path: Path) -> None:
    (file,) = editors.write_timelines(
        [source("29.97 drop-frame", people=("=1+1",))], ["csv-markers"], tmp_path, "anna"
    )
    table = rows(tmp_path / file)
    assert [(int(row["Start Frame"]), int(row["End Frame"])) for row in table] == [*SPANS]
    read = [oti.opentime.from_timecode(row["In"], float(30 * NTSC)).to_frames() for row in table]
    assert read == [first_frame("29.97 drop-frame") + first for first, _ in SPANS]
    assert {row["Marker Name"] for row in table} == {"'=1+1"}


@pytest.mark.parametrize(("rate", "drop"), [(30 * NTSC, True), (60 * NTSC, True), (Fraction(25), False)])
def test_timecode_is_that_of_another_library(rate: Fraction, drop: bool) -> None:
    day = 24 * 6 * (10 * 60 * round(rate) - 9 * round(rate) // 15 * drop)
    for frames in (0, 1, 1799, 1800, 3597, 3598, 17981, 17982, 17983, 107891, 107892, 1_000_000, 2_500_000):
        ours = timecode_of(frames, rate, drop)
        expected = oti.opentime.to_timecode(RationalTime(frames, float(rate)), float(rate), drop)
        if frames < day:  # theirs does not begin a new day
            assert ours == expected
        assert frames_of(ours, rate) == (frames % day, drop)


@pytest.mark.parametrize("text", ["", "1:00:00:00", "00:00:00:25", "24:00:00:00", "01:60:00:00", "noon"])
def test_what_is_no_timecode_counts_as_none(text: str) -> None:
    assert frames_of(text, Fraction(25)) is None


def test_rates_are_those_of_editing_programs() -> None:
    for rate in (24 * NTSC, Fraction(24), Fraction(30), 30 * NTSC, Fraction(10)):
        for ticks in (1000, 90_000):
            for count in (30, 500):
                times = even_times(rate, ticks, count=count)
                # Containers state what they please.
                stated = (rate, Fraction(round(rate * 1000), 1000), Fraction(90_000))
                found = {nominal_rate(each, times, Fraction(1, ticks)) for each in stated}
                assert found == {rate}, (rate, ticks, count)


def test_where_the_rate_varies_cuts_are_on_the_grid_and_the_distance_is_stated() -> None:
    rng = np.random.default_rng(5)
    durations = rng.choice([3000, 3003, 3600, 6000], 500, p=[0.7, 0.1, 0.1, 0.1])
    times = FrameTimes(np.cumsum(durations) - durations, durations)
    video = replace(
        make_video(frame_count=500), time_base=Fraction(1, 90_000), origin_pts=0, frame_rate=Fraction(27)
    )
    timeline = one_timeline(video, times, SourceTags(None, None, 0, 0))
    assert timeline.rate == 30
    for event, (first, end) in zip(timeline.events, SPANS, strict=True):
        exact = [Fraction(int(tick), 90_000) for tick in (times.pts[first], times.end_pts(end))]
        distances = [
            abs(Fraction(frame, 30) - at) for frame, at in zip((event.start, event.end), exact, strict=True)
        ]
        assert max(distances) <= Fraction(1, 60)
        assert event.distance == max(distances)
    assert re.search(r"UP TO 0\.01\d+ S FROM THE SOURCE", edl(timeline))
    assert "movie.mp4 varies" in editors.notes([timeline])[0]
    assert editors.notes([source("23.976, ticks of 1 ms")]) == ()


def test_where_the_rate_varies_every_format_has_the_same_cuts(tmp_path: Path) -> None:
    durations = np.random.default_rng(7).choice([3000, 3003, 3600, 6000], 500, p=[0.7, 0.1, 0.1, 0.1])
    times = FrameTimes(np.cumsum(durations) - durations, durations)
    video = replace(
        make_video(frame_count=500), time_base=Fraction(1, 90_000), origin_pts=0, frame_rate=Fraction(27)
    )
    timeline = one_timeline(video, times, SourceTags("01:00:00:00", None, 2, 48_000))
    cuts = [(108_000 + event.start, 108_000 + event.end) for event in timeline.events]  # of 30 a second
    written = (("edl", edl, "cmx_3600"), ("xmeml", xmeml, "fcp_xml"), ("fcpxml", fcpxml, "fcpx_xml"))
    for _, write, adapter in (*written, ("otio", editors.TIMELINES["otio"].write, "otio_json")):
        options = {"rate": 30} if adapter == "cmx_3600" else {}
        read = oti.adapters.read_from_string(write(timeline), adapter, **options)
        if not hasattr(read, "tracks"):
            clips = list(read.find_clips())
        else:
            clips = list(next(track for track in read.tracks if track.kind == "Video").find_clips())
        own = [each.source_range for each in clips]
        ends = [(one.start_time.to_frames(), one.end_time_exclusive().to_frames()) for one in own]
        assert ends == cuts, adapter
    (file,) = editors.write_timelines([timeline], ["csv-markers"], tmp_path, "anna")
    assert [(int(row["Start Frame"]), int(row["End Frame"])) for row in rows(tmp_path / file)] == [
        (event.start, event.end) for event in timeline.events
    ]


def test_handles_stop_at_the_ends_of_the_shot() -> None:
    times = even_times(Fraction(25), 25)
    video = replace(
        make_video(frame_count=500), time_base=Fraction(1, 25), frame_rate=Fraction(25), origin_pts=0
    )
    timeline = one_timeline(video, times, SourceTags(None, None, 0, 0), handles=12)
    assert [(event.start, event.end) for event in timeline.events] == [
        (0, 22),
        (30, 95),
        (95, 113),
        (238, 412),
    ]
    assert [(event.person_start, event.person_end) for event in timeline.events] == [*SPANS]
    assert "* LOC: 01:00:01:04 RED" in edl(timeline)  # 22 frames of the first event, 7 of the second's handle


def test_each_rate_has_its_timeline_and_each_video_its_subtitles(tmp_path: Path) -> None:
    parts = (source("25", "/a/one.mp4"), source("29.97 drop-frame", "/b/one.mp4"))
    assert editors.write_timelines(parts, ["edl", "srt"], tmp_path, "anna") == (
        "anna_25.edl", "anna_29.97df.edl", "anna_one.srt", "anna_one_2.srt",
    )  # fmt: skip
    lists = [(tmp_path / f"anna_{part.label}.edl").read_text() for part in parts]
    assert [text.splitlines()[1] for text in lists] == ["FCM: NON-DROP FRAME", "FCM: DROP FRAME"]
    assert [len(cues(tmp_path / file)) for file in ("anna_one.srt", "anna_one_2.srt")] == [4, 4]


def test_people_follow_one_another() -> None:
    timeline = source("25", people=("Anna", "Ben"))
    assert [event.person for event in timeline.events] == ["Anna"] * 4 + ["Ben"] * 4
    ends = [event.record + event.length for event in timeline.events]
    assert [event.record for event in timeline.events] == [0, *ends[:-1]]
    assert ends[-1] == timeline.length
    assert {event.colour for event in timeline.events} == {0, 1}


def test_paths_are_relative_unless_absolute_ones_are_wanted(tmp_path: Path) -> None:
    video, folder = tmp_path / "my videos" / "a#1.mp4", tmp_path / "out" / "joey"
    assert place(video, folder, False) == ("../../my videos/a#1.mp4", "../../my%20videos/a%231.mp4")
    assert place(video, folder, True) == (str(video), video.as_uri())


def write_coded(path: Path, rate: Fraction, timecode: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.metadata.update(timecode=timecode, reel_name="A001")
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())


def test_timecode_and_reel_come_from_the_file(tmp_path: Path) -> None:
    write_coded(tmp_path / "film.mov", 30 * NTSC, "01:00:00;00")
    assert source_tags(tmp_path / "film.mov") == SourceTags("01:00:00;00", "A001", 0, 0)


def events(text: str) -> list[tuple[int, int]]:
    """Source frames at 25 fps of an EDL's events."""
    codes = re.findall(r"^\d{3}  .*?  C +(\S+) (\S+) ", text, re.MULTILINE)
    return [tuple(oti.opentime.from_timecode(code, 25).to_frames() for code in pair) for pair in codes]


def test_query_exports_the_frames_of_its_clips(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    args = ("--store", store, *FAKE, "--out", tmp_path)
    asked = ("query", photos / "red.png", *args, "--export", "edl", "--export", "otio")
    for _ in range(2):  # the second replaces the first, with all that belongs to it
        result = run(*asked)
        assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "red" / "metadata.json").read_text())
    assert document["exports"] == ["red.edl", "red.otio"]
    spans = [(entry["start_frame"], entry["end_frame"]) for entry in document["clips"]]
    assert events((tmp_path / "red" / "red.edl").read_text()) == spans
    read = oti.adapters.read_from_file(str(tmp_path / "red" / "red.otio"))
    own = [each.source_range for each in read.tracks[0].find_clips()]
    assert [(each.start_time.to_frames(), each.end_time_exclusive().to_frames()) for each in own] == spans
    media = next(iter(read.find_clips())).media_reference
    assert (tmp_path / "red" / media.target_url).resolve().is_file()


def test_everybody_in_a_video_is_exported_without_cutting(run: Run, store: Path, tmp_path: Path) -> None:
    args = ("--store", store, *FAKE, "--out", tmp_path)
    result = run("export", "two.mp4", "--everybody", *args)
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir() if path != store] == ["two_people.edl"]
    assert events((tmp_path / "two_people.edl").read_text()) == [(0, 30), (30, 60), (30, 60)]
    result = run("export", "two.mp4", "--person", "two.mp4#1", "--format", "otio", *args)
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("two_*.otio"))) == 1


def test_photos_of_one_person_are_one_person(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    args = ("--store", store, *FAKE, "--out", tmp_path / "out")
    again = shutil.copy(photos / "red.png", photos / "again.png")
    result = run("export", "two.mp4", photos / "red.png", again, *args)
    assert result.exit_code == 0, result.output
    assert events((tmp_path / "out" / "two_red.edl").read_text()) == [(0, 30), (30, 60)]
    apart = ("--person", photos / "red.png", "--person", again)
    result = run("export", "two.mp4", *apart, *args)
    assert result.exit_code == 1
    assert "show one person" in result.stderr
    result = run("export", "two.mp4", "--person", "two.mp4#1", "--person", photos / "green.png", *args)
    assert result.exit_code == 0, result.output
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "two_person 1_green.edl",
        "two_red.edl",
    ]


def test_an_edited_file_is_not_replaced_without_a_word(run: Run, store: Path, tmp_path: Path) -> None:
    args = ("export", "two.mp4", "--everybody", "--format", "srt", "--store", store, *FAKE, "--out", tmp_path)
    target, timeline = tmp_path / "two_people.srt", tmp_path / "two_people.edl"
    for _ in range(2):  # the same again loses nothing
        assert run(*args).exit_code == 0
    written = target.read_text()
    target.write_text("edited")
    result = run(*args, "--format", "edl")
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert (target.read_text(), timeline.exists()) == ("edited", False)
    assert run(*args, "--overwrite").exit_code == 0
    assert target.read_text() == written
    (answer,) = (
        Library(store, engine="fake").find_many(Library(store, engine="fake").read_persons(["1"])).answers
    )
    for overwrite in (False, True):
        (tmp_path / f"{answer.name}.srt").write_text("edited")
        with nullcontext() if overwrite else pytest.raises(ResultExistsError):
            answer.export(["srt"], tmp_path, overwrite=overwrite)


def test_a_video_that_is_gone_is_named(run: Run, store: Path, film: Path, tmp_path: Path) -> None:
    moved = film.rename(tmp_path / "moved.mp4")
    try:
        result = run("export", "two.mp4", "--everybody", "--store", store, *FAKE, "--out", tmp_path / "out")
    finally:
        moved.rename(film)
    assert result.exit_code == 1
    assert "two.mp4 is no longer there" in result.stderr
    assert not (tmp_path / "out").exists()


def test_help_names_the_formats() -> None:
    assert ", ".join(editors.FORMATS) == options.EXPORT_FORMATS


@pytest.mark.parametrize(
    ("args", "code", "word"),
    [
        (("export", "two.mp4"), 2, "--everybody"),
        (("export", "two.mp4", "--everybody", "--format", "aaf"), 1, "aaf"),
        (("export", "two.mp4", "--everybody", "--handles", "-1"), 1, "-1"),
        (("query", "--everybody", "--export", "aaf"), 1, "aaf"),
        (("query", "--everybody", "--export", "edl", "--dry-run"), 2, "--dry-run"),
    ],
)
def test_wrong_exports_are_refused(
    run: Run, store: Path, args: tuple[str, ...], code: int, word: str
) -> None:
    result = run(*args, "--store", store, *FAKE)
    assert result.exit_code == code
    assert word in result.stderr
