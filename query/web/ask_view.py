"""Ask: a photo, or a face of the library, becomes a list of matches, of which chosen ones are cut.

A photo passes through a temporary file that is deleted once it is read (`Library.read_faces`). Its faces, and a picture
to show, stay in memory for the questions that follow. So do answers, whose matches are ticked and cut by number. Both
are few, and gone with the server.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import JSONResponse
from facereel.query.web.cutting import EXPORTS, CutOptions, check_result, cutting, read_cut_options
from facereel.query.web.fields import Fields, read_fields
from facereel.query.web.jobs import Progress, Result
from facereel.query.web.pictures import jpeg
from facereel.query.web.question import Question
from facereel.query.web.site import Site, Upload, site_of

_MOST_FACES = 18  # of the library, that can be asked for with a click
_MOST_VIDEOS = 2_000  # that the list of videos to ask in has
_PHOTO_BYTES = 64 << 20
_MOST_SECONDS = 86_400.0  # that a match may have to last

uploads = {"/api/ask/photo": Upload(("image/*", "application/octet-stream"), _PHOTO_BYTES)}


# -- The page


def _page(request: Request) -> Response:
    site = site_of(request)
    start = _start(site, request)
    # Whoever opens this page asks next: by then the engine is loaded.
    threading.Thread(target=_load, args=(site.library,), name="load the engine", daemon=True).start()
    # What the library itself knows of people and videos: to look at a thousand indexes takes many seconds.
    people = site.library.people.most_shown(_MOST_FACES)
    known = site.library.video_names(_MOST_VIDEOS)
    videos = [{"folder": folder.name, "video": name} for folder, name in known]
    return site.render(
        request, "ask.html", names=site.names, videos=videos, start=start, people=people,
        exports=EXPORTS,
    )  # fmt: skip


def _load(library: api.Library) -> None:
    """Load the engine; why it cannot be loaded is the answer to the first photo."""
    with suppress(api.FaceReelError):
        library.load()


def _start(site: Site, request: Request) -> dict[str, Any] | None:
    """The face of the library that the address of the page asks about, with a picture."""
    if (person := request.query_params.get("person")) is not None:
        found = site.library.people.find(site.person(person))
        return {"person": str(found.id), "title": found.title, "picture": f"/pictures/person/{found.id}"}
    if (face := request.query_params.get("face")) is not None:
        at = site.library.people.face(site.person(_word(face)))
        return {
            "face": face, "version": at.version, "title": f"a face of {at.video}", "picture": f"/pictures/face/{face}"
        }  # fmt: skip
    return None


def _word(face: str) -> str:
    """`FOLDER/c3` or `FOLDER/t12` of an address as the API writes it."""
    folder, _, name = face.rpartition("/")
    if not folder or name[:1] not in ("c", "t") or not name[1:].isdecimal():
        raise api.OptionError(
            f"{face} is no face of the library; choose one on the page of a video or a person"
        )
    return f"{folder}#{name.removeprefix('c')}"


# -- Photos


def _add_photo(request: Request) -> Response:
    name = Path(request.query_params.get("name") or "photo").name[:120] or "photo"
    site = site_of(request)
    photo = site.library.read_faces(request.state.body, name)
    number = site.photos.put(photo)
    faces = [
        {"box": [round(value, 1) for value in face.box.tolist()], "warnings": list(face.warnings)}
        for face in photo.faces
    ]
    shown = {
        "id": number, "name": name, "width": photo.width, "height": photo.height, "faces": faces,
        "picture": f"/api/ask/photos/{number}/picture",
    }  # fmt: skip
    return JSONResponse(site.scrubbed(shown))


def _picture(request: Request) -> Response:
    return jpeg(site_of(request).photos.get(request.path_params["photo"]).picture)


def _drop_photo(request: Request) -> Response:
    site_of(request).photos.drop(request.path_params["photo"])
    return JSONResponse({})


# -- Questions


def _ask(request: Request) -> Response:
    site, words = site_of(request), read_fields(request)
    question = _question(site, words)
    command = replace(question.command, store=site.library.store, out=site.out)
    return JSONResponse(site.scrubbed(_described(site, replace(question, command=command))))


def _question(site: Site, words: Fields) -> Question:
    """Ask the library what a page asks; raises as the API, OptionError for what is no question."""
    people, command = _who(site, words)
    present, absent = ([site.person(one) for one in words.texts(key)] for key in ("with", "without"))
    unlike = [_lookalike(site, one) for one in words.items("not")]
    if present or absent or unlike:
        faces = [face for found, _ in unlike for face in found]
        people = site.library.narrowed(people, present=present, absent=absent, unlike=faces)
    videos = tuple(site.index(one) for one in words.texts("videos"))
    min_duration = words.number("min_duration", _MOST_SECONDS) or 0.0
    (answer,) = site.library.find_many(people, videos=videos or None, min_duration=min_duration).answers
    command = replace(
        command, present=tuple(present), absent=tuple(absent), unlike=tuple(text for _, text in unlike), videos=videos,
        min_duration=min_duration,
    )  # fmt: skip
    return Question(people, answer, command)


def _lookalike(site: Site, one: Any) -> tuple[Sequence[api.Reference], str]:
    """Faces of somebody who only looks like the person, and the name: a face of a photo, or whom the library knows."""
    if isinstance(one, dict):
        words = Fields(one)
        return [_face_of(site, words)], site.photos.get(words.text("photo")).name
    word = site.person(Fields({"not": one}).text("not"))
    return site.library.read_persons(word).persons[0].references, word


def _who(site: Site, words: Fields) -> tuple[api.People, api.QueryCommand]:
    """Who is searched for, and the command for it alone."""
    if "person" in words:
        word = site.person(words.text("person"))
        return site.library.read_persons(word), api.QueryCommand(person=word)
    if "face" in words:
        word = site.person(_word(words.text("face")))
        # The page shows the picture that had this number then.
        site.library.people.face(word, versions={word.rpartition("#")[0]: words.text("version")})
        return site.library.read_persons(word), api.QueryCommand(person=_short(site.library, word))
    chosen = words.objects("faces")
    photos = [site.photos.get(one.text("photo")) for one in chosen]
    name = Path(photos[0].name).stem if photos else ""
    people = site.library.of_faces([_face_of(site, one) for one in chosen], name)
    number = chosen[0].integer("face") if len(photos) == 1 and len(photos[0].faces) > 1 else None
    return people, api.QueryCommand(photos=tuple(photo.name for photo in photos), face=number)


def _face_of(site: Site, words: Fields) -> api.Reference:
    photo, number = site.photos.get(words.text("photo")), words.integer("face")
    if not 1 <= number <= len(photo.faces):
        raise api.OptionError(f"{photo.name} has no face {number}; choose one of {len(photo.faces)}")
    return photo.faces[number - 1]


def _short(library: api.Library, word: str) -> str:
    """A face by the name of its video, as commands show it, where no other video has that name."""
    found = library.people.face(word)
    short = f"{found.video}#{word.rpartition('#')[2]}"
    try:
        return short if library.people.face(short).folder == found.folder else word
    except api.FaceReelError:
        return word


def _described(site: Site, question: Question) -> dict[str, Any]:
    """An answer as the page lists it."""
    answer = question.answer
    listed = [
        {
            "number": number, "certainty": match.certainty, "matched": match.matched,
            "stranger_share": match.stranger_share, "end_reason": match.end_reason, "version": match.version,
            **_stretch(match),
        }
        for number, match in enumerate(question.matches)
    ]  # fmt: skip
    return {
        "id": site.questions.put(question), "name": answer.name, "person": _about(site, question),
        "warnings": list(answer.warnings), "matches": listed,
        "sure": len(answer.matches), "near_misses": [_stretch(miss) for miss in answer.near_misses],
        "too_short": answer.too_short, "videos": answer.statistics["videos"],
        "tracklets": answer.statistics["tracklets"],
        "skipped": [{"video": item.name, "reason": item.reason} for item in answer.skipped],
    }  # fmt: skip


def _about(site: Site, question: Question) -> dict[str, Any] | None:
    """Whom the question is about, if the library knows them: of whom matches are accepted or rejected."""
    word = question.command.person
    found = site.library.people_in(question.answer) if word is None else [site.library.people.find(word)]
    return {"id": found[0].id, "title": found[0].title} if found else None


def _stretch(match: api.Match | api.NearMiss) -> dict[str, Any]:
    return {
        "folder": match.folder.name, "video": match.video.name, "start": round(match.start, 4),
        "end": round(match.end, 4), "frame": match.start_frame, "similarity": round(match.similarity, 3),
        "threshold": round(match.threshold, 3), "why": match.why, "cluster": match.cluster, "tracklet": match.tracklet,
    }  # fmt: skip


# -- Clips


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What the page wants to be cut, and how."""

    question: Question
    chosen: tuple[api.Match, ...]
    options: CutOptions
    name: str

    @property
    def command(self) -> api.QueryCommand:
        """The command that cuts the same."""
        every, sure = self.question.matches, self.question.answer.matches
        command = replace(self.question.command, export=self.options.export, **self.options.clips)
        if self.name != self.question.answer.name:
            command = replace(command, name=self.name)
        if set(self.chosen) == set(sure):
            return command
        if set(self.chosen) == set(every):
            return replace(command, include_possible=True)
        faces = dict.fromkeys(f"{match.video.name}#t{match.tracklet}" for match in self.chosen)
        return replace(command, only=tuple(faces))


def _choice(request: Request) -> _Choice:
    site, words = site_of(request), read_fields(request)
    question = site.questions.get(request.path_params["question"])
    numbers, every = words.integers("chosen"), question.matches
    if any(number >= len(every) for number in numbers):
        raise api.OptionError("the matches to cut are not of this answer; ask again")
    chosen = tuple(every[number] for number in sorted(set(numbers)))
    _check_versions(site.library, chosen)
    name = words.text("name") or question.answer.name
    return _Choice(question, chosen, read_cut_options(words), name)


def _check_versions(library: api.Library, matches: Sequence[api.Match]) -> None:
    """Raise ChangedIndexError for matches of an index that was written anew since: who is in it may have changed."""
    videos = {match.folder.name: match.video.name for match in matches}
    for folder, version in {(match.folder.name, match.version) for match in matches}:
        if library.version(folder) != version:
            raise api.ChangedIndexError(
                f"{videos[folder]} was indexed again, or somebody in it was forgotten; ask again"
            )


def _command(request: Request) -> Response:
    choice = _choice(request)
    return JSONResponse({"command": str(choice.command), "has_photos": bool(choice.command.photos)})


def _crops(request: Request) -> Response:
    """The crop of each frame of one match, and the size of the clip."""
    choice = _choice(request)
    if len(choice.chosen) != 1:
        raise api.OptionError("a preview is of one match; choose one")
    preview = choice.question.answer.only(choice.chosen).preview(**choice.options.clips)
    (clip,) = preview.document["clips"]
    frames = [[frame["time"], *frame["crop"]] for frame in clip["frames"]]
    return JSONResponse({"width": clip["crop"]["width"], "height": clip["crop"]["height"], "frames": frames})


def _cut(request: Request) -> Response:
    site, choice = site_of(request), _choice(request)
    if not choice.chosen:
        raise api.OptionError("nothing is ticked; tick the matches to cut")
    people = choice.question.people
    (folder,) = api.result_folders(people, site.out, choice.name)
    check_result(folder, people.persons[0], choice.options.overwrite)
    answer = choice.question.answer.only(choice.chosen)

    def work(progress: Progress) -> Result:
        _check_versions(site.library, choice.chosen)  # it may have waited for other work
        return cutting(site, answer, folder, choice.options)(progress)

    return JSONResponse({"job": site.jobs.start("cut", f"Cutting {choice.name}", work).data()})


routes = [
    Route("/ask", _page),
    Route("/api/ask/photo", _add_photo, methods=["POST"]),
    Route("/api/ask/photos/{photo}/picture", _picture),
    Route("/api/ask/photos/{photo}/drop", _drop_photo, methods=["POST"]),
    Route("/api/ask/answers", _ask, methods=["POST"]),
    Route("/api/ask/answers/{question}/command", _command, methods=["POST"]),
    Route("/api/ask/answers/{question}/crops", _crops, methods=["POST"]),
    Route("/api/ask/answers/{question}/cut", _cut, methods=["POST"]),
]
