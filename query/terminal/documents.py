"""What each command prints for scripts with --json: one object of one shape, described in query/export/schemas.

Each has `schema`, with the command and the version of the shape, and `facereel_version`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facereel import __version__
from facereel.api import BeingIndexed, Event, Failed, Indexed, Outcome, Source, UnwritableError, Url
from facereel.store.files.disk import atomic_file
from facereel.store.files.names import printable, with_escapes

if TYPE_CHECKING:
    from facereel.api import (
        Answer,
        Answers,
        Blurred,
        Change,
        Dataset,
        Decision,
        Exported,
        FailedPerson,
        ForgetPlan,
        ForgetReport,
        Health,
        Holding,
        IndexReport,
        LibraryPerson,
        Merged,
        PeopleSheet,
        PersonDetails,
        Reembedded,
        Restored,
        Result,
        Sheet,
        SkippedVideo,
        Suggestion,
        VideoDetails,
        Videos,
    )

VERSION = 2
# A query of more videos does not list them: 100,000 paths would take four times as long as the answer.
MOST_LISTED = 10_000


def document(name: str, **content: Any) -> dict[str, Any]:
    """An object with its schema's name, for example `facereel.query/2`."""
    return {"schema": f"facereel.{name}/{VERSION}", "facereel_version": __version__, **content}


def error(kind: str, message: str) -> dict[str, Any]:
    """An error instead of a result; `kind` is the class of the error."""
    return document("error", error={"kind": kind, "message": message})


def index(report: IndexReport) -> dict[str, Any]:
    """What became of each video."""
    videos = [_video(event) for event in report.videos]
    return document("index", store=str(report.store), videos=videos, failed=len(report.failed))


def index_event(event: Indexed | Failed, store: Path) -> dict[str, Any]:
    """That a video is done, for whoever wants to go on with it: nothing of faces, whoever reads it."""
    own: dict[str, Any] = {"event": "failed" if isinstance(event, Failed) else "indexed"}
    own |= {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), "store": str(store.absolute())}
    own |= {"video": _absolute(event.video)}
    if isinstance(event, Failed):
        own |= _error(event.error)
    else:
        own |= {
            "folder": str(event.folder.absolute()), "frames": event.frames, "duration": event.duration,
            "seconds": event.seconds, "shots": event.shots, "warnings": list(event.warnings),
        }  # fmt: skip
    return document("index-event", **own)


def index_line(event: Event) -> dict[str, Any]:
    """One thing that happens while videos are indexed, for a log of lines."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    if isinstance(event, Outcome):
        return document("index-line", time=now, event="done", result=_video(event))
    content = {**asdict(event), "video": str(event.video)}
    return document("index-line", time=now, event=type(event).__name__.lower(), **content)


def check_report(target: Path) -> None:
    """Raise UnwritableError where `write_report` could not write; worth asking before hours of work."""
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise UnwritableError(
            f"--report {printable(target)} cannot be written; name a file in a folder that exists"
        )


def write_report(target: Path, content: Mapping[str, Any]) -> None:
    """Write an object as a JSON file, which is then complete or as it was before."""
    try:
        with atomic_file(target) as unfinished:
            unfinished.write_text(json.dumps(with_escapes(content), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UnwritableError(f"--report {printable(target)} cannot be written: {error.strerror}") from error


def query(
    answers: Answers, results: Sequence[tuple[Answer, Result]], failed: Sequence[FailedPerson], explain: bool
) -> dict[str, Any]:
    """A result for each person, those who have none because of an error, and what was searched."""
    first = answers.answers[0]
    return document(
        "query",
        results=[_result(answer, result, explain) for answer, result in results],
        failed=[_failed(person) for person in failed],
        searched=list(map(str, first.searched)) if first.statistics["videos"] <= MOST_LISTED else [],
        skipped=_skipped(first.skipped),
    )


def listing(store: Path, videos: Videos) -> dict[str, Any]:
    """All indexed videos."""
    unreadable = [
        {"folder": str(folder), "kind": type(error).__name__, "message": str(error)}
        for folder, error in videos.unreadable
    ]
    return document(
        "list", store=str(store), videos=[asdict(video) for video in videos.videos], unreadable=unreadable
    )


def details(video: VideoDetails) -> dict[str, Any]:
    """Everything about one video."""
    content = asdict(video)
    short = content.pop("summary")
    return document("info", index_version=short.pop("facereel_version"), **short, **content)


def exported(exported: Exported) -> dict[str, Any]:
    """Files for other programs, and what has to be known of them."""
    return document("export", files=[str(file) for file in exported.files], notes=list(exported.notes))


def blurred(blurred: Blurred) -> dict[str, Any]:
    """The report of a copy with covered faces, as its file holds it."""
    return dict(blurred.document)


def dataset(dataset: Dataset) -> dict[str, Any]:
    """What a data set holds, and what was left out."""
    return document(
        "dataset",
        folder=str(dataset.folder),
        identities=dataset.identities,
        pieces=dataset.pieces,
        val_pieces=dataset.val_pieces,
        seconds=dataset.seconds,
        filtered={reason: asdict(own) for reason, own in sorted(dataset.filtered.items())},
        skipped=_skipped(dataset.skipped),
        not_searched=_skipped(dataset.not_searched),
    )


def sheet(sheet: Sheet) -> dict[str, Any]:
    """Where the contact sheet is, and who is on it."""
    clusters = [
        {
            "cluster": row.cluster,
            "person": row.person,
            "name": row.name,
            "tracklets": row.tracklets,
            "seconds": round(row.seconds, 3),
            "view": row.view,
            "recognisable": row.recognisable,
        }
        for row in sheet.rows
    ]
    return document("faces", file=str(sheet.file), clusters=clusters, left_out=sheet.left_out)


def removed(folder: Path) -> dict[str, Any]:
    """The folder of the index that was removed."""
    return document("remove", removed=str(folder))


def health(store: Path, indexes: Iterable[Health]) -> dict[str, Any]:
    """The problems of each index."""
    return document("verify", store=str(store), indexes=[asdict(one) for one in indexes])


def forgotten(plan: ForgetPlan, report: ForgetReport | None, dry_run: bool) -> dict[str, Any]:
    """What was removed and what remains; without a report nothing was."""
    return document(
        "forget",
        people=list(plan.people),
        persons=list(map(asdict, plan.persons if report is None else report.persons)),
        results=list(map(str, plan.results)),
        datasets=list(map(str, plan.datasets)),
        exports=list(map(str, plan.exports)),
        dry_run=dry_run,
        matching=list(map(_holding, plan.matching)),
        weaker=list(map(_holding, plan.weaker)),
        removed=[] if report is None else list(map(_holding, report.removed)),
        busy=[] if report is None else _skipped(report.busy),
        being_indexed=list(plan.being_indexed if report is None else report.being_indexed),
        indexed_since=[] if report is None else list(map(str, report.indexed_since)),
        unfinished=list(plan.unfinished if report is None else report.unfinished),
        searched=list(map(str, plan.searched)),
        skipped=_skipped(plan.skipped),
    )


def engines(all_engines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All engines."""
    return document("engines", engines=[dict(engine) for engine in all_engines])


def downloaded(folder: Path) -> dict[str, Any]:
    """The folder of a pack that was downloaded."""
    return document("engines-get", folder=str(folder))


def calibrated(threshold: float, files: Sequence[Path]) -> dict[str, Any]:
    """The threshold for films, and the files that were written."""
    return document("engines-calibrate", threshold=round(threshold, 4), files=list(map(str, files)))


def reembedded(store: Path, results: Sequence[Reembedded]) -> dict[str, Any]:
    """What became of each index."""
    return document("reembed", store=str(store), videos=[asdict(result) for result in results])


def people(store: Path, people: Sequence[LibraryPerson], left_out: int) -> dict[str, Any]:
    """The people of the library."""
    return document("people", store=str(store), people=list(map(asdict, people)), left_out=left_out)


def person(details: PersonDetails) -> dict[str, Any]:
    """All about a person in short."""
    appearances = [
        asdict(one)
        | {"folder": None if one.folder is None else str(one.folder), "clusters": list(one.clusters)}
        for one in details.appearances
    ]
    return document(
        "people-show", person=asdict(details.person), appearances=appearances, confirmed=details.confirmed,
        rejected=details.rejected, decisions=list(map(_decision, details.decisions)),
    )  # fmt: skip


def person_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is stored of a person."""
    return document("people-data", **data)


def people_sheet(sheet: PeopleSheet) -> dict[str, Any]:
    """Where the contact sheet of the library is, and who is on it."""
    people = list(map(asdict, sheet.people))
    return document("people-sheet", file=str(sheet.file), people=people, left_out=sheet.left_out)


def change(change: Change) -> dict[str, Any]:
    """What a decision did: the same for all that decide."""
    faces = [
        {
            "video": face.video, "sha256": face.sha256, "folder": str(face.folder), "cluster": face.cluster,
            "tracklets": list(face.tracklets), "before": None if face.person is None else face.person.id,
        }
        for face in change.faces
    ]  # fmt: skip
    return document(
        "people-change", decisions=list(change.decisions), person=asdict(change.person), faces=faces,
        given_up=list(change.given_up), split_off=None if change.split_off is None else asdict(change.split_off),
    )  # fmt: skip


def undone(decisions: Sequence[Decision]) -> dict[str, Any]:
    """The decisions that were undone, in the order in which they were."""
    return document("people-undo", undone=list(map(_decision, decisions)))


def log(decisions: Sequence[Decision]) -> dict[str, Any]:
    """The decisions in their order."""
    return document("people-log", decisions=list(map(_decision, decisions)))


def suggestions(found: Sequence[Suggestion]) -> dict[str, Any]:
    """Pairs of people who may be one."""
    return document("people-suggest", suggestions=list(map(asdict, found)))


def backup(file: Path, number: int) -> dict[str, Any]:
    """The file with all decisions, and how many they are."""
    return document("people-backup", file=str(file), decisions=number)


def restored(file: Path, restored: Restored) -> dict[str, Any]:
    """What came of a backup."""
    renumbered = [{"in_backup": there, "here": here} for there, here in sorted(restored.renumbered.items())]
    return document(
        "people-restore", file=str(file), added=restored.added, known=restored.known, forgotten=restored.forgotten,
        renumbered=renumbered, not_forgotten=list(restored.not_forgotten),
    )  # fmt: skip


def merged(other: Path, merged: Merged) -> dict[str, Any]:
    """What came of another store."""
    return document(
        "library-merge", other=str(other), added=[str(folder) for folder in merged.added], known=merged.known,
        failed=[{"folder": str(folder), **_error(error)} for folder, error in merged.failed],
        decisions={
            key: value for key, value in restored(other, merged.decisions).items()
            if key not in ("schema", "facereel_version", "file")
        },
        united=[
            {"person": one.person.id, "name": one.person.name, "other": one.other, "decision": one.decision}
            for one in merged.united
        ],
        conflicts=[{**asdict(one), "persons": list(one.persons)} for one in merged.conflicts],
    )  # fmt: skip


def _decision(decision: Decision) -> dict[str, Any]:
    places = [
        {"person": person, **asdict(place), "box": list(place.box)} for person, place in decision.places
    ]
    return asdict(decision) | {"places": places}


def _absolute(video: Source) -> str:
    return video if isinstance(video, Url) else str(video.absolute())


def _video(event: Outcome) -> dict[str, Any]:
    if isinstance(event, BeingIndexed):
        return {"video": str(event.video), "state": "being_indexed"}
    if isinstance(event, Failed):
        return {"video": str(event.video), "state": "failed", **_error(event.error)}
    content = asdict(event)
    seconds = max(event.seconds, 1e-9)
    return {
        "video": str(event.video), "state": "skipped" if content.pop("skipped") else "indexed", **content,
        "folder": str(event.folder), "frames_per_second": round(event.frames / seconds, 1),
        "times_real_time": round(event.duration / seconds, 2),
    } | {"video": str(event.video)}  # fmt: skip


def _result(answer: Answer, result: Result, explain: bool) -> dict[str, Any]:
    """metadata.json as it is or would be, and what was left out."""
    content = {
        **result.document, "folder": None if result.folder is None else str(result.folder),
        "too_short": result.too_short, "warnings": list(answer.warnings), "not_cut": _skipped(result.not_cut),
        "possible": [
            {"video": match.video.name, "start": round(match.start, 6), "end": round(match.end, 6),
             "start_frame": match.start_frame, "end_frame": match.end_frame, "tracklet": match.tracklet,
             "similarity": round(match.similarity, 4), "threshold": round(match.threshold, 4),
             "expected_strangers": float(f"{match.expected_strangers:.3g}"),
             "stranger_share": round(match.stranger_share or 0.0, 3), "explanation": match.why}
            for match in answer.possible
        ],
    }  # fmt: skip
    if explain:
        content["near_misses"] = [
            {"video": miss.video.name, "start": round(miss.start, 6), "end": round(miss.end, 6),
             "start_frame": miss.start_frame, "end_frame": miss.end_frame, "tracklet": miss.tracklet,
             "similarity": round(miss.similarity, 4), "threshold": round(miss.threshold, 4),
             "explanation": miss.why}
            for miss in answer.near_misses
        ]  # fmt: skip
    return content


def _failed(person: FailedPerson) -> dict[str, Any]:
    return {"name": person.name, **_error(person.error)}


def _error(error: Exception) -> dict[str, Any]:
    return {"error": {"kind": type(error).__name__, "message": str(error)}}


def _skipped(items: Iterable[SkippedVideo]) -> list[dict[str, Any]]:
    return [{"video": item.name, "kind": item.kind, "reason": item.reason} for item in items]


def _holding(holding: Holding) -> dict[str, Any]:
    return {
        "video": holding.video, "folder": str(holding.folder), "tracklets": list(holding.tracklets),
        "starts": list(holding.starts), "frames": holding.frames, "seconds": holding.seconds,
        "exemplars": holding.exemplars,
    }  # fmt: skip
