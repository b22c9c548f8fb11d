"""What each command prints for people: sentences and tables. documents.py has the same for scripts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facereel.api import Indexed
from facereel.query.terminal.console import fail, note, say, table, warn
from facereel.query.text import clock, count
from facereel.store.files.names import printable

if TYPE_CHECKING:
    from facereel.api import (
        Answer,
        Blurred,
        Calibration,
        Clip,
        Dataset,
        DatasetVideo,
        Exported,
        ForgetPlan,
        ForgetReport,
        Health,
        Holding,
        IndexReport,
        LibraryPerson,
        Match,
        Merged,
        NearMiss,
        Reembedded,
        Restored,
        Result,
        Sheet,
        SkippedVideo,
        Source,
        VideoDetails,
        VideoSummary,
    )


# -- index


def indexed(event: Indexed) -> None:
    """What became of a video that is in the library."""
    name = printable(event.video.name)
    if event.skipped:
        say(f"{name}: {event.skipped}")
    else:
        seconds = max(event.seconds, 1e-9)
        speed = f"{event.frames / seconds:.0f} frames/s, {event.duration / seconds:.1f} times real time"
        say(f"{name}: {clock(event.duration)} indexed in {event.seconds:.1f} s ({speed})")
    figures = (
        count(event.frames, "frame"), count(event.shots, "shot"), count(event.faces, "face"),
        _tracks(event.tracklets), count(event.people, "person", "people"),
    )  # fmt: skip
    say("  " + ", ".join(figures))
    if event.brief_faces:
        left_out = count(event.brief_faces, "face"), f"{event.brief_seconds:.2f} s in all"
        say(f"  left out, too short to be followed: {', '.join(left_out)}")
    for line in _losses(event):
        say(f"  {line}")
    video_warnings(event.video, event.warnings)


def video_warnings(video: Source, warnings: Iterable[str]) -> None:
    """What could not be read of a video."""
    for warning in warnings:
        warn(f"{printable(video.name)}: {warning}")


def index_ended(outcome: IndexReport, part: str | None) -> None:
    """The commands to go on with after indexing; videos left to another process, and a part that has none."""
    if any(isinstance(video, Indexed) for video in outcome.videos):
        say("next: facereel query PHOTO    or see who is there: facereel faces VIDEO")
    for event in outcome.being_indexed:
        name = printable(event.video.name)
        note(f"{name}: another process is indexing it, which this one did not wait for")
    if part is not None and not outcome.videos:
        note(f"part {part} has none of these videos")


def restored(restored: Restored) -> None:
    """What came of decisions from elsewhere."""
    text = f"{count(restored.added, 'decision')} added, {restored.known:,} known before"
    if restored.forgotten:
        text += f", {restored.forgotten:,} left out: they are about people who were forgotten here"
    say(text)
    if restored.renumbered:
        pairs = ", ".join(f"{there} is {here}" for there, here in sorted(restored.renumbered.items()))
        say(f"ids of people that are others here: {pairs}")
    if restored.not_forgotten:
        ids = ", ".join(map(str, restored.not_forgotten))
        warn(f"forgotten there, but not here: person {ids}; to forget them run: facereel forget ID")


def merged(other: Path, merged: Merged) -> None:
    """What came of another store; what of it failed is printed by the caller."""
    say(
        f"{count(len(merged.added), 'index', 'indexes')} added of {printable(other)}, {merged.known:,} the same here"
    )
    restored(merged.decisions)
    for one in merged.united:
        name = printable(str(one.person.name))
        who = f"{name}: person {one.person.id} here and person {one.other} of the other store"
        say(f"{who} are one by name and looks; to undo it run: facereel people undo {one.decision}")
    for conflict in merged.conflicts:
        warn(conflict.text)


def _losses(event: Indexed) -> list[str]:
    """A sentence for each kind of loss."""
    texts = (
        (event.frames_skipped, "frame was left out, its time stamp is impossible",
         "frames were left out, their time stamps are impossible"),
        (event.frames_damaged, "frame is damaged and was not decoded", "frames are damaged and were not decoded"),
        (event.frames_concealed, "frame is damaged, the decoder made part of it up",
         "frames are damaged, the decoder made parts of them up"),
        (event.frames_missing, "frame seems to be missing (a gap in the time stamps)",
         "frames seem to be missing (gaps in the time stamps)"),
    )  # fmt: skip
    return [f"{number:,} {one if number == 1 else many}" for number, one, many in texts if number]


# -- query


def warnings(texts: Iterable[str]) -> None:
    """Warnings, a line each."""
    for text in texts:
        warn(text)


def skipped(items: Sequence[SkippedVideo]) -> None:
    """Indexes that were not searched, and why."""
    for item in items:
        warn(f"not searched: {item.reason}")


def clip(answer: Answer, clip: Clip) -> None:
    """A clip of an answer that was cut: its file, when, how long, how similar."""
    match, name = clip.match, "" if clip.file is None else clip.file.name
    say(f"  {printable(name)}  {clock(clip.start)} - {clock(clip.end)}  {clip.duration:.2f} s  "
        f"{match.similarity:.2f} {_matched(answer, match)}{_beyond(clip)}")  # fmt: skip


def _beyond(clip: Clip) -> str:
    before, after = clip.match.start_frame - clip.start_frame, clip.end_frame - clip.match.end_frame
    parts = [
        f"{count(number, 'frame')} {where}"
        for number, where in ((before, "before"), (after, "after"))
        if number
    ]
    return f", {' and '.join(parts)}" if parts else ""


def answer(answer: Answer, result: Result, dry_run: bool, explain: bool) -> None:
    """All about one person once the clips are cut."""
    if result.clips or not result.not_cut:
        say(_sentence(answer, result, dry_run))
    if dry_run and result.clips:
        _clips_table(answer, result.clips)
    if answer.possible:
        _possible(answer)
    if explain:
        _near_misses_table(answer)


def not_cut(result: Result) -> None:
    """Videos with matches from which nothing could be cut, and why."""
    for item in result.not_cut:
        fail(f"not cut: {item.reason}")


def searched(statistics: Mapping[str, Any]) -> None:
    """How much was searched; `statistics` as in metadata.json."""
    things = (
        count(statistics["videos"], "video"), _tracks(statistics["tracklets"]),
        _crops(statistics["exemplars"]),
    )  # fmt: skip
    without, left_out = statistics["tracklets_without_exemplars"], len(statistics["skipped"])
    text = f"searched: {', '.join(things)}"
    if without:
        text += f"; not compared: {_tracks(without)} without a usable crop"
    say(text + (f"; not searched: {count(left_out, 'video')}" if left_out else ""))


def _clips_table(answer: Answer, clips: Sequence[Clip]) -> None:
    headings = ["face", "start", "end", "duration", "similarity", "matched", "begins with", "ends with"]
    rows = [
        [_face(match), clock(clip.start), clock(clip.end), f"{clip.duration:.2f} s",
         round(match.similarity, 2), _matched(answer, match),
         match.start_reason.replace("_", " "), match.end_reason.replace("_", " ")]
        for clip, match in ((clip, clip.match) for clip in clips)
    ]  # fmt: skip
    if not all(clip.exact for clip in clips):
        headings += ["frames before", "frames after"]
        for row, clip in zip(rows, clips, strict=True):
            row += [clip.match.start_frame - clip.start_frame, clip.end_frame - clip.match.end_frame]
    table(headings, rows)


def _matched(answer: Answer, match: Match) -> str:
    # The references of --person are faces of the library; nobody gave a photo.
    given = all(reference.frame is None for reference in answer.references)
    by = "reference" if match.matched == "photo" and not given else match.matched
    return f"by {by}" + ("" if match.certainty == "sure" else ", possible")


def _possible(answer: Answer) -> None:
    """Matches that may be somebody else, each with the share of strangers among those down to it."""
    say(f"Possibly {printable(answer.name)}, but not sure; --include possible cuts them, too:")
    rows = [
        (_face(match), clock(match.start), f"{match.duration:.2f} s", round(match.similarity, 2),
         f"{match.stranger_share or 0.0:.0%}", match.why)
        for match in answer.possible
    ]  # fmt: skip
    table(("face", "start", "duration", "similarity", "strangers", "explanation"), rows)


def _near_misses_table(answer: Answer) -> None:
    name = printable(answer.name)
    if not answer.near_misses:
        say(f"Nothing else is similar to {name}.")
        return
    say(f"Near misses for {name}:")
    rows = [
        (_face(miss), clock(miss.start), f"{miss.end - miss.start:.2f} s",
         round(miss.similarity, 2), round(miss.threshold, 2), miss.why)
        for miss in answer.near_misses
    ]  # fmt: skip
    table(("face", "start", "duration", "similarity", "threshold", "explanation"), rows)


def listening(answer: Answer) -> None:
    """That the matches of an answer are decoded now, which takes a while."""
    note(f"listening to {count(len(answer.matches), 'match', 'matches')} of {printable(answer.name)}")


def _face(match: Match | NearMiss) -> str:
    """A tracklet as commands take it, for example `people accept`."""
    return f"{match.video.name}#t{match.tracklet}"


def _sentence(answer: Answer, result: Result, dry_run: bool) -> str:
    name, videos = printable(answer.name), count(answer.statistics["videos"], "video")
    short = ""
    if result.too_short:
        matches = count(result.too_short, "match", "matches")
        short = f"; {matches} shorter than --min-duration left out"
    if silent := answer.statistics["not_speaking"]:
        short += f"; {count(silent, 'match', 'matches')} that do not speak left out"
    if result.clips:
        in_videos = len({clip.match.video for clip in result.clips})
        text = f"{count(len(result.clips), 'clip')} of {name} in {in_videos:,} of {videos}{short}"
        return f"{text}; nothing was cut" if dry_run else f"{text}: {printable(str(result.folder))}"
    if short:
        return f"No clip of {name} in {videos}{short}; nothing was written."
    return f"{name} was not found in {videos}; nothing was written.{_nearest(answer)}"


def _nearest(answer: Answer) -> str:
    if not answer.near_misses:
        return ""
    miss = answer.near_misses[0]
    where = f"{printable(miss.video.name)} at {clock(miss.start)}"
    return f" The nearest is {where} ({miss.why}); --explain lists more."


# -- list, info, faces, verify


def listing(videos: Sequence[VideoSummary]) -> None:
    """All indexed videos."""
    table(
        ("video", "duration", "size", "shots", "face tracks", "people", "engine", "indexed (UTC)", "path"),
        [
            (video.video, clock(video.duration), f"{video.width}x{video.height}", video.shots,
             video.tracklets, video.clusters, video.engine, video.indexed_at[:16].replace("T", " "), video.path)
            for video in videos
        ],
    )  # fmt: skip


def details(video: VideoDetails) -> None:
    """Everything about one video."""
    lines = asdict(video)
    short, clusters, config = lines.pop("summary"), lines.pop("by_cluster"), lines.pop("config")
    for warning in lines.pop("warnings"):
        say(f"warning: {printable(warning)}")
    for title, values in (("", {**short, **lines}), ("setting ", config)):
        for key, value in values.items():
            text = "unknown" if value is None else printable(str(value))
            say(f"{title}{key.replace('_', ' ')}: {text}")
    if clusters:
        say("")
        rows = [
            (c["cluster"], str(c["person"] or ""), c["name"] or "", c["tracklets"], clock(c["seconds"]))
            for c in clusters
        ]
        table(("cluster", "person", "name", "face tracks", "visible for"), rows)


def exported(exported: Exported, video: str) -> None:
    """Where the files for other programs are."""
    for sentence in exported.notes:
        warn(sentence)
    for file in exported.files:
        say(printable(file))
    if not exported.files:
        say(f"nobody of them is in {printable(video)}; no file was written")


def blurred(blurred: Blurred) -> None:
    """Where the copy is, what is covered in it, and where somebody should look."""
    for sentence in blurred.notes:
        warn(sentence)
    frames = f"{blurred.covered_frames:,} of {count(blurred.frames, 'frame')}"
    say(f"{count(blurred.face_tracks, 'face track')} in {frames} covered: {printable(blurred.file)}")
    if blurred.doubts:
        stretches = count(len(blurred.doubts), "stretch of frames", "stretches of frames")
        say(f"{stretches} in which the program is not sure; look at them: {printable(blurred.report)}")
    say(
        "the sound is as it was; a covered face is no promise that nobody is recognised by voice, clothes or place"
    )


_FILTERS = {
    "similarity": "less similar than --min-similarity",
    "small_face": "face narrower than --min-face",
    "upscale": "enlarged more than --max-upscale",
    "other_face": "another face in the crop",
    "yaw": "turned further than --max-yaw",
    "blur": "less sharp than --min-sharpness",
    "two_people": "matches two people",
    "short": "shorter than --min-seconds",
}


def dataset_video(done: DatasetVideo) -> None:
    """What became of one video of a data set."""
    written = "" if done.written == done.pieces else f", {done.written} of them written now"
    say(f"{done.video}: {count(done.pieces, 'piece')}, {done.seconds:.1f} s{written}")


def dataset(dataset: Dataset) -> None:
    """What a data set holds, what was left out, and which videos are missing."""
    listed = {item.folder for item in dataset.skipped}  # with what an earlier run wrote of them
    skipped([item for item in dataset.not_searched if item.folder not in listed])
    for item in dataset.skipped:
        fail(f"{item.name}: {item.reason}")
    if dataset.filtered:
        table(
            ("left out", "stretches", "seconds"),
            [
                (words, dataset.filtered[reason].stretches, round(dataset.filtered[reason].seconds, 1))
                for reason, words in _FILTERS.items() if reason in dataset.filtered
            ],
        )  # fmt: skip
    figures = f"{count(dataset.pieces, 'piece')} of {count(dataset.identities, 'person', 'people')}"
    say(
        f"{printable(dataset.folder)}: {figures}, {dataset.seconds:.1f} s; {dataset.val_pieces} for validation"
    )


def sheet(sheet: Sheet) -> None:
    """Where the contact sheet is, and how many people are on it."""
    rest = (
        f"; {count(sheet.left_out, 'more is', 'more are')} not on it, --most N shows more"
        if sheet.left_out
        else ""
    )
    people = sum(row.recognisable for row in sheet.rows)
    more = len(sheet.rows) - people
    poor = f", and {count(more, 'cluster')} hard to recognise," if more else ""
    say(f"{count(people, 'person', 'people')}{poor} in {printable(sheet.file)}{rest}")
    names = {
        row.name: row.cluster for row in reversed(sheet.rows) if row.name
    }  # with the first cluster of each
    if names:
        say("named: " + ", ".join(f"{printable(name)} (cluster {names[name]})" for name in reversed(names)))


def health(health: Health) -> None:
    """One line for an intact index, a line a problem for another."""
    name = printable(health.name)
    for text in (*health.problems, *health.notes):
        say(f"{name}: {text}")
    if not health.problems:
        say(f"{name}: ok")


# -- forget


def forget_plan(plan: ForgetPlan, also_weaker: bool) -> None:
    """What the indexes hold of somebody: what goes and, apart, what may be the same person."""
    names = _names(plan)
    if plan.matching:
        say(f"Matching {names}, to be removed:")
        _holdings(plan.matching)
    if plan.weaker:
        say(f"Weaker, may be {names} too, " + ("to be removed:" if also_weaker else "not removed:"))
        _holdings(plan.weaker)
    if plan.unfinished:
        say(f"Unfinished runs that may hold {names}, to be deleted: {count(len(plan.unfinished), 'video')}.")


def forget_question(plan: ForgetPlan, also_weaker: bool) -> str:
    """What to ask before it is removed."""
    holdings = (*plan.matching, *(plan.weaker if also_weaker else ()))
    videos = len({holding.folder for holding in holdings})
    tracks = sum(len(holding.tracklets) for holding in holdings)
    parts = [f"remove {_tracks(tracks)} from {count(videos, 'index', 'indexes')}"] if tracks else []
    parts += [f"delete {_unfinished(plan.unfinished)}"] if plan.unfinished else []
    parts += [f"erase {', '.join(map(_person, plan.persons))} from the library"] if plan.persons else []
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]}? This cannot be undone."


def nothing_to_forget(plan: ForgetPlan) -> None:
    """That nobody was found, or only somebody similar."""
    searched = count(len(plan.searched), "video")
    more = f" {_weaker(plan.weaker, _names(plan))}" if plan.weaker else ""
    say(f"{_names(plan)} was not found in {searched}; nothing was removed.{more}")


def would_forget(plan: ForgetPlan, also_weaker: bool) -> None:
    """That it was only a dry run, or that the answer was no."""
    rest = "" if also_weaker or not plan.weaker else f" {_weaker(plan.weaker, _names(plan))}"
    say(f"Nothing was removed.{rest}")


def forgotten(plan: ForgetPlan, report: ForgetReport) -> None:
    """What was removed, and what is still there."""
    names, videos = _names(plan), len(report.removed)
    tracks = sum(len(holding.tracklets) for holding in report.removed)
    searched = count(len(plan.searched), "video")
    if tracks or report.busy:
        text = f"Removed {_tracks(tracks)} that match {names} from {videos:,} of {searched}."
    else:
        text = f"{names} was not found in {searched}."
    if report.unfinished:
        text += f" Deleted {_unfinished(report.unfinished)}, which may have held {names}."
    if report.persons:
        text += f" Erased from the library: {', '.join(map(_person, report.persons))}, with all decisions."
    if report.remaining:
        text += f" {_weaker(report.remaining, names)}"
    say(text)
    say("Videos and clips are not changed. A video that is indexed again has the faces again.")
    if report.persons:
        say("Backups of the decisions are not changed either.")
    for folder in plan.results:
        say(f"this result shows {names}, or did when it was cut: {printable(folder)}")
    for folder in plan.datasets:
        say(f"this part of a data set shows {names}, or may: {printable(folder)}")
    for file in plan.exports:
        say(f"this export may still name {names} or say where they are: {printable(file)}")


def not_forgotten(plan: ForgetPlan, report: ForgetReport | None) -> bool:
    """Print what may still hold somebody; whether there is anything."""
    busy = () if report is None else report.busy
    being_indexed = plan.being_indexed if report is None else report.being_indexed
    for item in busy:
        fail(f"not removed: {item.reason}")
    if plan.skipped:
        names = ", ".join(item.name for item in plan.skipped)
        fail(f"could not be searched and may still hold {_names(plan)}: {names}; "
             "do what the warnings say, then run facereel forget again")  # fmt: skip
    if being_indexed:
        videos = count(len(being_indexed), "video is", "videos are")
        fail(
            f"{videos} being indexed now and may hold {_names(plan)} (sha256 {', '.join(being_indexed)}); "
            "run facereel forget again when that is done"
        )
    since = () if report is None else report.indexed_since
    if since:
        videos = count(len(since), "video was", "videos were")
        fail(
            f"{videos} indexed meanwhile and may hold {_names(plan)}: "
            f"{', '.join(printable(folder.name) for folder in since)}; run facereel forget again"
        )
    return bool(busy or plan.skipped or being_indexed or since)


def _unfinished(runs: Sequence[str]) -> str:
    return count(len(runs), "unfinished run", "unfinished runs")


def _weaker(holdings: Sequence[Holding], names: str) -> str:
    number = sum(len(holding.tracklets) for holding in holdings)
    places = "; ".join(
        f"{printable(holding.video)} at {', '.join(map(clock, sorted(holding.starts)))}"
        for holding in holdings
    )
    what = "weaker one may be" if number == 1 else "weaker ones may be"
    kept = "was" if number == 1 else "were"
    return f"{number:,} {what} {names} too and {kept} kept: {places}; --also-weaker removes them too."


def _person(person: LibraryPerson) -> str:
    return f"person {person.id}" + (f" ({printable(person.name)})" if person.name else "")


def _holdings(holdings: Sequence[Holding]) -> None:
    for holding in holdings:
        figures = (
            _tracks(len(holding.tracklets)), count(holding.frames, "frame"), f"{holding.seconds:.1f} s",
            _crops(holding.exemplars),
        )  # fmt: skip
        say(f"  {printable(holding.video)}: {', '.join(figures)}")


def _names(plan: ForgetPlan) -> str:
    return ", ".join(map(printable, plan.people))


# -- engines, reembed


def engines(all_engines: Sequence[Mapping[str, Any]]) -> None:
    """All engines."""
    titles = {
        "engine": "engine", "kind": "finds", "licence": "licence", "state": "state", "vector_length": "vector length",
        "threshold": "threshold", "threshold_source": "measured on", "search_ms": "search 640x360, ms",
        "embed_ms": "embed a face, ms",
    }  # fmt: skip
    keys = [key for key in titles if any(key in row for row in all_engines)]
    table(
        [titles[key] for key in keys],
        [["" if row.get(key) is None else row[key] for key in keys] for row in all_engines],
    )


def calibration(measured: Calibration, files: Sequence[Path], store: Path) -> None:
    """Thresholds by their rate of false matches, and how to use them."""
    say(f"{measured.engine.name}: {measured.photos} photos of {measured.people} people, "
        f"{len(measured.same):,} pairs of one person, {len(measured.different):,} of two")  # fmt: skip
    rows = [
        (f"{point.rate:g}",)
        + (("too few pairs", "") if point.threshold is None else (point.threshold, point.true_match_rate))
        for point in measured.points
    ]
    table(("false matches", "threshold", "true matches"), rows)
    for file in files:
        say(printable(str(file)))
    say(f"The threshold for films is {measured.threshold:.2f}. Use it with --calibration "
        f"{shlex.quote(printable(files[0]))}, or put that file into {printable(store)}.")  # fmt: skip


def reembedded(result: Reembedded) -> None:
    """What became of one index."""
    name, crops = printable(result.video), _crops(result.exemplars)
    if result.skipped:
        say(f"{name}: already recognised by {result.engine} ({crops})")
    else:
        say(f"{name}: {crops} recognised by {result.engine}, before by {result.engine_before}; "
            f"{count(result.clusters, 'person', 'people')}, before {result.clusters_before:,}")  # fmt: skip


def _tracks(number: int) -> str:
    return count(number, "face track")


def _crops(number: int) -> str:
    return count(number, "stored face crop")
