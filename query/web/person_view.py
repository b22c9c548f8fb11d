"""Person: every appearance of somebody, what else may be them, and what can be decided, cut or forgotten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import JSONResponse
from facereel.query.web.changes import chosen_faces, described, same_person
from facereel.query.web.cutting import EXPORTS, check_result, cutting, exporting, read_cut_options
from facereel.query.web.fields import Fields, read_fields
from facereel.query.web.jobs import Progress, Result, Work
from facereel.query.web.site import Site, site_of

_VIDEOS = 12  # a page of appearances
_FACES = 18  # the best ones
_CANDIDATES = 24  # of what else may be somebody


def _page(request: Request) -> Response:
    site = site_of(request)
    person = site.library.people.find(str(request.path_params["person"]))
    return site.render(
        request, "person.html", person=person, title=person.title, names=site.names, exports=EXPORTS
    )


def _videos(request: Request) -> Response:
    """A page of the videos that show somebody."""
    site = site_of(request)
    here, away = (
        [site.person(one) for one in request.query_params.getlist(key)] for key in ("with", "without")
    )
    found = site.library.people.videos(
        _person(request), present=here, absent=away, first=_first(request), most=_VIDEOS,
    )  # fmt: skip
    return JSONResponse(
        {
            "videos": [
                {
                    "folder": video.folder.name, "video": video.video, "duration": round(video.duration, 4),
                    "seconds": round(video.seconds, 3), "version": video.version,
                    "pieces": [
                        [piece.tracklet, piece.start_frame, piece.end_frame, round(piece.start, 4), round(piece.end, 4)]
                        for piece in video.pieces
                    ],
                }
                for video in found.videos
            ],
            "unreadable": [site.scrub(reason) for reason in found.unreadable], "next": found.next,
        }
    )  # fmt: skip


def _faces(request: Request) -> Response:
    """The best faces of somebody."""
    moments = site_of(request).library.people.moments(_person(request), _FACES)
    return JSONResponse({"faces": [_moment(one) for one in moments]})


def _moment(moment: api.Moment) -> dict[str, Any]:
    return {
        "folder": moment.folder.name, "video": moment.video, "tracklet": moment.tracklet, "frame": moment.frame,
        "time": round(moment.time, 3), "version": moment.version,
    }  # fmt: skip


def _possible(request: Request) -> Response:
    """A page of what else may be somebody: what a search by their faces finds in clusters that are not theirs."""
    site, word, first = site_of(request), _person(request), _first(request)
    library = site.library
    person = library.people.find(word)
    try:
        (answer,) = library.find_many(library.read_persons(str(person.id))).answers
    except api.OptionError as error:  # without a clear face nobody can be searched for
        return JSONResponse(site.scrubbed({"candidates": [], "note": str(error), "next": None}))
    groups: dict[tuple[Path, int], list[api.Match]] = {}
    for match in (*answer.matches, *answer.possible):
        groups.setdefault((match.folder, match.cluster), []).append(match)
    candidates: list[dict[str, Any]] = []
    following = None  # the place of the first that is not looked at
    for place, ((folder, cluster), matches) in enumerate(groups.items()):
        if place < first:
            continue
        if len(candidates) == _CANDIDATES:
            following = place
            break
        owner = library.people.face(f"{folder.name}#{cluster}").person
        if owner is not None and owner.id == person.id:
            continue
        best = max(matches, key=lambda match: match.similarity)
        candidates.append(
            {
                "folder": folder.name, "video": best.video.name, "cluster": cluster, "tracklet": best.tracklet,
                "frame": best.start_frame, "start": round(best.start, 3), "end": round(best.end, 3),
                "similarity": round(best.similarity, 3), "sure": best.certainty == "sure", "why": best.why,
                "faces": [
                    {"folder": folder.name, "tracklet": number, "version": best.version}
                    for number in dict.fromkeys(one.tracklet for one in matches)
                ],
                "owner": None if owner is None else {"id": owner.id, "name": owner.title},
            }
        )  # fmt: skip
    return JSONResponse(site.scrubbed({"candidates": candidates, "note": "", "next": following}))


def _accept(request: Request) -> Response:
    site, person = site_of(request), _person(request)
    faces, versions = chosen_faces(site, read_fields(request))
    change = site.library.people.accept(person, faces, versions=versions)
    return JSONResponse(described(change, f"Accepted: this is {change.person.title}"))


def _reject(request: Request) -> Response:
    site, person = site_of(request), _person(request)
    faces, versions = chosen_faces(site, read_fields(request))
    change = site.library.people.reject(person, faces, versions=versions)
    return JSONResponse(
        described(change, f"{_count(faces)} {'is' if len(faces) == 1 else 'are'} not {change.person.title}")
    )


def _split(request: Request) -> Response:
    site, person = site_of(request), _person(request)
    faces, versions = chosen_faces(site, read_fields(request))
    change = site.library.people.split(person, faces, versions=versions)
    new = change.split_off or change.person
    answer = described(change, f"{_count(faces)} split off as {new.title}")
    return JSONResponse(answer | {"split_off": new.id})


def _count(faces: Sequence[str]) -> str:
    return f"{len(faces)} face track{'' if len(faces) == 1 else 's'}"


# -- Forgetting


def _forget_plan(request: Request) -> Response:
    """What would be removed, before anybody agrees to it."""
    site = site_of(request)
    return JSONResponse(_planned(site, _plan(site, _person(request))))


def _forget(request: Request) -> Response:
    """Forget somebody, if what would be removed still is what the user was shown."""
    site, word, words = site_of(request), _person(request), read_fields(request)
    plan, also_weaker = _plan(site, word), words.flag("also_weaker")
    if words.text("plan") != _planned(site, plan)["plan"]:
        raise api.ResultExistsError(
            "the library has changed since this was shown; look again at what is removed"
        )
    # Without the name, which is to be nowhere afterwards.
    job = site.jobs.start("forget", "Forgetting a person", _forgetting(plan, also_weaker, site))
    return JSONResponse({"job": job.data()})


def _plan(site: Site, word: str) -> api.ForgetPlan:
    return site.library.plan_forget(site.library.read_persons(word, faceless=True), out=site.out)


def _planned(site: Site, plan: api.ForgetPlan) -> dict[str, Any]:
    matching, weaker = ([_holding(one) for one in own] for own in (plan.matching, plan.weaker))
    shown = {
        "person": plan.people[0], "matching": matching, "weaker": weaker,
        "skipped": [{"video": one.name, "reason": site.scrub(one.reason)} for one in plan.skipped],
        "results": [folder.name for folder in plan.results], "unfinished": len(plan.unfinished),
        "datasets": [f"{folder.parent.name}/{folder.name}" for folder in plan.datasets],
        "exports": [file.name for file in plan.exports],
        "being_indexed": len(plan.being_indexed),
    }  # fmt: skip
    versions = [one.version.to_text() for one in (*plan.matching, *plan.weaker)]
    digest = hashlib.sha256(json.dumps([shown, versions]).encode()).hexdigest()
    return shown | {"plan": digest}


def _holding(holding: api.Holding) -> dict[str, Any]:
    return {
        "folder": holding.folder.name, "video": holding.video, "tracklets": len(holding.tracklets),
        "seconds": round(holding.seconds, 2), "crops": holding.exemplars,
        "first": holding.tracklets[0] if holding.tracklets else None,
    }  # fmt: skip


def _forgetting(plan: api.ForgetPlan, also_weaker: bool, site: Site) -> Work:
    def work(progress: Progress) -> dict[str, Any]:
        progress.report(0, 0)
        try:
            report = plan.apply(also_weaker=also_weaker)
        finally:  # part of it may be removed although the rest failed
            site.clear_memory()
            site.jobs.forget_people()
        return {
            "removed": [_holding(one) for one in report.removed], "busy": [one.name for one in report.busy],
            "remaining": len(report.remaining), "forgotten": bool(report.persons),
            "indexed_since": [folder.name for folder in report.indexed_since],
            "being_indexed": len(report.being_indexed),
        }  # fmt: skip

    return work


# -- Clips and data


def _cut(request: Request) -> Response:
    """Cut every appearance, in the frames with and without somebody."""
    site, words = site_of(request), read_fields(request)
    options, find = read_cut_options(words), _search(site, _person(request), words)
    (folder,) = api.result_folders(find.people, site.out)
    check_result(folder, find.person, options.overwrite)

    def work(progress: Progress) -> Result:
        progress.report(0, 0, "searching")
        return cutting(site, find.answer(), folder, options)(progress)

    return JSONResponse({"job": site.jobs.start("cut", f"Cutting {find.person.name}", work).data()})


def _export(request: Request) -> Response:
    """Write every appearance for other programs, and cut nothing."""
    site, words = site_of(request), read_fields(request)
    options, find = read_cut_options(words), _search(site, _person(request), words)
    if not options.export:
        raise api.OptionError("no format is chosen; choose at least one")

    def work(progress: Progress) -> Result:
        progress.report(0, 0, "searching")
        return exporting(site, find.answer(), options)(progress)

    return JSONResponse({"job": site.jobs.start("export", f"Exporting {find.person.name}", work).data()})


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Whom a page wants to have cut, and in which frames."""

    library: api.Library
    people: api.People
    include_possible: bool

    @property
    def person(self) -> api.PersonQuery:
        """The only one."""
        return self.people.persons[0]

    def answer(self) -> api.Answer:
        """What is cut."""
        return self.library.find_many(self.people, include_possible=self.include_possible).answers[0]


def _search(site: Site, person: str, words: Fields) -> _Search:
    people = site.library.read_persons(person)
    present, absent = ([site.person(one) for one in words.texts(key)] for key in ("with", "without"))
    if present or absent:
        people = site.library.narrowed(people, present=present, absent=absent)
    return _Search(site.library, people, words.flag("possible"))


def _data(request: Request) -> Response:
    """Everything that is stored of somebody, as a file."""
    site, word = site_of(request), _person(request)
    data = site.scrubbed(site.library.people.data(word))
    name = f"person-{word}.json"
    return JSONResponse(data, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _first(request: Request) -> int:
    """From where on a page is asked for."""
    first = request.query_params.get("first", "0")
    return int(first) if first.isdecimal() and len(first) < 9 else 0


def _person(request: Request) -> str:
    """The person of an address, as the API names them."""
    return str(same_person(site_of(request).library.people, request.path_params["person"]).id)


routes = [
    Route("/people/{person:int}", _page),
    Route("/api/people/{person:int}/videos", _videos),
    Route("/api/people/{person:int}/faces", _faces),
    Route("/api/people/{person:int}/possible", _possible),
    Route("/api/people/{person:int}/accept", _accept, methods=["POST"]),
    Route("/api/people/{person:int}/reject", _reject, methods=["POST"]),
    Route("/api/people/{person:int}/split", _split, methods=["POST"]),
    Route("/api/people/{person:int}/forget-plan", _forget_plan),
    Route("/api/people/{person:int}/forget", _forget, methods=["POST"]),
    Route("/api/people/{person:int}/cut", _cut, methods=["POST"]),
    Route("/api/people/{person:int}/export", _export, methods=["POST"]),
    Route("/api/people/{person:int}/data", _data),
]
