"""Review: is the face on the left the person on the right? Each answer is a decision, and says what it gained."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import JSONResponse
from facereel.query.web.fields import read_fields
from facereel.query.web.site import site_of

_AHEAD = 3  # questions that the page gets at once, so that the pictures of the next are there in time
_MOST_FACES = 4  # of each of the two


def _page(request: Request) -> Response:
    site = site_of(request)
    return site.render(request, "review.html", videos=site.library.video_names(1))


def _questions(request: Request) -> Response:
    return JSONResponse(_next(site_of(request).library))


def _answer(request: Request) -> Response:
    """Answer a question about two people by id: `same`, `different`, `ignore` or `skip`."""
    people, words = site_of(request).library.people, read_fields(request)
    person, other = words.integer("person"), words.integer("other")
    verdict: api.Verdict = words.text("answer")  # type: ignore[assignment]  # the call checks it
    before, candidate = people.find(str(person)), people.find(str(other))
    change = people.answer(person, other, verdict)
    message = {
        "same": _gain(change.person, candidate, before),
        "different": f"{candidate.title} is not {before.title}, and is not suggested again",
        "ignore": f"{candidate.title} is hidden: left out of lists and suggestions",
        "skip": "Skipped",
    }[verdict]
    return JSONResponse(
        {"decisions": change.decisions, "message": message, **_next(site_of(request).library)}
    )


def _unskip(request: Request) -> Response:
    """Let a pair that was skipped come again, or all of them."""
    library, words = site_of(request).library, read_fields(request)
    if "person" in words or "other" in words:
        library.people.ask_again(str(words.integer("person")), str(words.integer("other")))
    else:
        library.people.ask_again()
    return JSONResponse(_next(library))


def _next(library: api.Library) -> dict[str, Any]:
    """What to ask next, and how many questions there are."""
    questions = library.people.questions(_AHEAD)
    return {
        "open": questions.open,
        "skipped": questions.skipped,
        "questions": [
            {
                "person": _described(library, one.person), "other": _described(library, one.other),
                "likelihood": round(one.likelihood, 3), "similarity": round(one.similarity, 3),
            }
            for one in questions.suggestions
        ],
    }  # fmt: skip


def _described(library: api.Library, person: api.LibraryPerson) -> dict[str, Any]:
    moments = library.people.moments(str(person.id), _MOST_FACES)
    return {
        "id": person.id, "title": person.title, "named": person.name is not None, "videos": person.videos,
        "seconds": round(person.seconds, 2), "clusters": person.clusters,
        "moments": [
            {
                "folder": one.folder.name, "video": one.video, "tracklet": one.tracklet, "frame": one.frame,
                "time": round(one.time, 4), "start": round(one.start, 4), "end": round(one.end, 4),
            }
            for one in moments
        ],
    }  # fmt: skip


def _gain(now: api.LibraryPerson, gained: api.LibraryPerson, before: api.LibraryPerson) -> str:
    """What a person has now, and what of it is new."""
    videos = now.videos - before.videos
    more = f"{gained.seconds:.0f} s" if gained.seconds < 60 else f"{gained.seconds / 60:.1f} min"
    new = f" and {videos} more video{'' if videos == 1 else 's'}" if videos else ""
    return f"{now.title} gained {more}{new}"


routes = [
    Route("/review", _page),
    Route("/api/review/questions", _questions),
    Route("/api/review/answer", _answer, methods=["POST"]),
    Route("/api/review/again", _unskip, methods=["POST"]),
]
