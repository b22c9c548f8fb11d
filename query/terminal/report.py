"""What each command tells of its work, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facereel.query.terminal.console import fail, say, table, warn
from facereel.query.text import clock, count
from facereel.store.files.folders import printable

if TYPE_CHECKING:
    from facereel.query.clips.render import Result
    from facereel.query.export.contact_sheet import Row
    from facereel.query.records import Clip, PersonQuery
    from facereel.query.search.forget import Forgotten
    from facereel.query.search.search import Answer, Scope
    from facereel.store.index.verify import Health


def people_read(people: Sequence[PersonQuery]) -> None:
    """Warnings about the photos."""
    for asked in people:
        for reference in asked.references:
            for warning in reference.warnings:
                warn(f"{printable(reference.path)}: {warning}")
        for warning in asked.warnings:
            warn(printable(warning))


def left_out(where: Scope) -> None:
    """What was not searched, and why."""
    for item in where.skipped:
        warn(f"not searched: {item.reason}")


def clip_done(clip: Clip) -> None:
    """A line for a clip whose file is complete: name, times, duration, similarity."""
    say(f"  {printable(clip.file)}  {clock(clip.start_time)} - {clock(clip.end_time)}  {clip.duration:.2f} s  "
        f"{clip.match.similarity:.2f} by {clip.match.matched}")  # fmt: skip


def not_cut(result: Result) -> None:
    """Videos with matches that nothing could be cut from, and why."""
    for item in result.not_cut:
        fail(f"not cut: {item.reason}")


def answer(answer: Answer, result: Result, where: Scope, dry_run: bool, explain: bool) -> None:
    """All that is told of one person once the clips are there."""
    if result.clips or not result.not_cut:
        say(_sentence(answer, result, where, dry_run))
    if dry_run and result.clips:
        _matches_table(result.clips)
    if explain:
        _misses_table(answer)


def _matches_table(clips: Sequence[Clip]) -> None:
    rows = [
        (clip.match.video.name, clock(clip.start_time), clock(clip.end_time), f"{clip.duration:.2f} s",
         round(clip.match.similarity, 2), f"by {clip.match.matched}",
         clip.start_reason.replace("_", " "), clip.end_reason.replace("_", " "))
        for clip in clips
    ]  # fmt: skip
    table(("video", "start", "end", "duration", "similarity", "matched", "begins with", "ends with"), rows)


def _misses_table(answer: Answer) -> None:
    if not answer.near_misses:
        say(f"Nothing else came near to {printable(answer.person.name)}.")
        return
    say(f"What just missed {printable(answer.person.name)}:")
    rows = [
        (near.video.name, clock(near.start), f"{near.end - near.start:.2f} s",
         round(near.similarity, 2), round(near.threshold, 2), near.explanation)
        for near in answer.near_misses
    ]  # fmt: skip
    table(("video", "start", "length", "similarity", "threshold", "why"), rows)


def _sentence(answer: Answer, result: Result, where: Scope, dry_run: bool) -> str:
    name, searched = printable(answer.person.name), count(len(where.searched), "video")
    short = ""
    if result.too_short:
        short = f"; {count(result.too_short, 'match', 'matches')} shorter than --min-duration dropped"
    if result.clips:
        videos = len({clip.match.video.sha256 for clip in result.clips})
        found = f"{count(len(result.clips), 'clip')} of {name} in {videos:,} of {searched}{short}"
        return f"{found}; nothing was cut" if dry_run else f"{found}: {printable(str(result.folder))}"
    if result.too_short:
        return f"No clip of {name} in {searched}{short}; nothing was written."
    return f"{name} was not found in {searched}; nothing was written.{_nearest(answer)}"


def searched(told: dict[str, Any]) -> None:
    """What the answers rest on; `told` is Answer.statistics."""
    things = [count(told[f"{thing}s"], thing) for thing in ("video", "tracklet", "exemplar")]
    left = [
        count(told["tracklets_without_exemplars"], "tracklet") + " without a usable exemplar"
        if told["tracklets_without_exemplars"] else "",
        count(len(told["skipped"]), "video") if told["skipped"] else "",
    ]  # fmt: skip
    rest = ", ".join(text for text in left if text)
    say(f"searched: {', '.join(things)}" + (f"; left out: {rest}" if rest else ""))


def answer_json(answer: Answer, result: Result, explain: bool) -> dict[str, Any]:
    """One person's result: metadata.json as it is or would be, and what was left out."""
    extra: dict[str, Any] = {
        "folder": None if result.folder is None else str(result.folder),
        "warnings": list(answer.person.warnings),
        "not_cut": [{"video": item.name, "why": item.reason} for item in result.not_cut],
    }  # fmt: skip
    if explain:
        extra["missed"] = [
            {"video": near.video.name, "start": round(near.start, 6), "end": round(near.end, 6),
             "tracklet": near.tracklet.number, "similarity": round(near.similarity, 4),
             "threshold": round(near.threshold, 4), "why": near.explanation}
            for near in answer.near_misses
        ]  # fmt: skip
    return {**result.document, **extra}


def query_json(results: Sequence[dict[str, Any]], where: Scope) -> dict[str, Any]:
    """The whole answer: one person's result as it is, several people's as a list."""
    searched = _scope_json(where)
    if len(results) == 1:
        return {**results[0], **searched}
    return {"schema": "facereel.results/1", "results": list(results), **searched}


def _scope_json(where: Scope) -> dict[str, Any]:
    return {
        "searched": [{"file": video.name, "sha256": video.sha256} for _, video in where.searched],
        "left_out": [{"video": item.name, "kind": item.kind, "why": item.reason} for item in where.skipped],
    }


def _nearest(answer: Answer) -> str:
    if not answer.near_misses:
        return ""
    near = answer.near_misses[0]
    where = f"{printable(near.video.name)} at {clock(near.start)}"
    figures = f"{near.similarity:.2f}, the bar is {near.threshold:.2f}"
    return f" The nearest was {where} ({figures}); --explain says more."


def listing(rows: Sequence[dict[str, Any]]) -> None:
    """All indexed videos."""
    table(
        ("video", "length", "size", "shots", "tracklets", "people", "engine", "indexed (UTC)"),
        [
            (row["video"], clock(row["length"]), f"{row['width']}x{row['height']}", row["shots"],
             row["tracklets"], row["people"], row["engine"], row["indexed"][:16].replace("T", " "))
            for row in rows
        ],
    )  # fmt: skip


def details(known: dict[str, Any]) -> None:
    """Everything about one video."""
    weights, config = known.pop("weights"), known.pop("config")
    who, warnings = known.pop("who"), known.pop("warnings")
    for key, value in {**known, **weights, **config}.items():
        say(f"{key.replace('_', ' ')}: {printable(str(value))}")
    for warning in warnings:
        say(f"warning: {warning}")
    if who:
        say("")
        columns = ("person", "name", "tracklets", "seen")
        table(columns, [(p["person"], p["name"] or "", p["tracklets"], clock(p["seconds"])) for p in who])


def health(found: Health) -> None:
    """One line for a sound index, a line a problem for another."""
    name = printable(found.name)
    for problem in found.problems:
        say(f"{name}: {problem}")
    for rebuild in found.notes:
        say(f"{name}: {rebuild}")
    if not found.problems:
        say(f"{name}: ok")


def forgotten(
    people: Sequence[PersonQuery],
    gone: Sequence[Forgotten],
    alike: Sequence[Forgotten],
    where: Scope,
    dry_run: bool,
) -> None:
    """What left which index, and what stays."""
    for held in gone:
        things = ", ".join(
            (count(len(held.tracklets), "tracklet"), count(held.frames, "frame"), count(held.looks, "look"))
        )
        say(f"  {printable(held.video)}: {things}")
    names, searched = (
        ", ".join(printable(asked.name) for asked in people),
        count(len(where.searched), "video"),
    )
    if not gone:
        say(f"{names} was not found in {searched}; nothing was deleted")
        return
    done = "would be forgotten in" if dry_run else "was forgotten in"
    say(
        f"{names} {done} {len(gone):,} of {searched}; videos and clips stay, and indexing anew finds them again"
    )
    for held in alike:
        warn(
            f"{printable(held.video)} holds {count(len(held.tracklets), 'tracklet')} of somebody who looks alike; "
            "see query --dry-run; run forget again if it is the same person"
        )


def forgotten_json(
    people: Sequence[PersonQuery],
    gone: Sequence[Forgotten],
    alike: Sequence[Forgotten],
    where: Scope,
    dry_run: bool,
) -> dict[str, Any]:
    """The same for scripts."""
    lists = {
        key: [
            {"video": held.video, "folder": str(held.folder), "tracklets": list(held.tracklets),
             "frames": held.frames, "looks": held.looks}
            for held in holdings
        ]
        for key, holdings in (("forgotten", gone), ("alike", alike))
    }  # fmt: skip
    return {"people": [asked.name for asked in people], "dry_run": dry_run, **lists, **_scope_json(where)}


def sheet(target: Path, rows: Sequence[Row], left_out: int) -> None:
    """Where the contact sheet is, and how many are on it."""
    rest = f"; {left_out:,} more were left out, --most N shows them" if left_out else ""
    say(f"{count(len(rows), 'person', 'people')} in {printable(target)}{rest}")


def sheet_json(target: Path, rows: Sequence[Row], left_out: int) -> dict[str, Any]:
    """The same for scripts."""
    people = [
        {"person": row.person, "name": row.name, "seconds": round(row.seconds, 3), "tracklets": row.tracklets}
        for row in rows
    ]
    return {"file": str(target), "people": people, "left_out": left_out}
