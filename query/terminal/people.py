"""The commands `people ...`: who is in the library, and what the user decides. Reads options, calls the API, prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facereel import api
from facereel.query.terminal import console, documents, report
from facereel.query.terminal import options as opt
from facereel.query.text import clock, count
from facereel.store.files.names import printable

if TYPE_CHECKING:
    from facereel.api import Change, Decision, LibraryPerson, PersonDetails

STORE = api.DEFAULT_STORE
ENGINE = api.DEFAULT_ENGINE

Person = Annotated[
    str,
    typer.Argument(
        metavar="PERSON",
        help="An id or name, a face of the library (movie.mp4#3 is cluster 3 of that video), or a photo.",
    ),
]
Others = Annotated[list[str], typer.Argument(metavar="OTHER...", help="People who are the same as PERSON.")]
Faces = Annotated[
    list[str],
    typer.Argument(
        metavar="FACE...",
        help="Faces of the library: movie.mp4#3 is cluster 3 of that video, movie.mp4#t12 its tracklet 12.",
    ),
]
FacesOrVideos = Annotated[
    list[str],
    typer.Argument(
        metavar="FACE_OR_VIDEO...", help="Faces as for accept; a video alone is all of PERSON in it."
    ),
]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="The name.")]
Unnamed = Annotated[bool, typer.Option("--unnamed", help="Only people without a name.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Hidden people too.")]
Data = Annotated[bool, typer.Option("--data", help="Print everything that is stored of the person, as JSON.")]
SheetOut = Annotated[Path, typer.Option("--out", help="PNG file to write.")]
Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="[N...]", help="Numbers of decisions in people log; else the last one."),
]
OnlyPerson = Annotated[str | None, typer.Argument(metavar="[PERSON]", help="Only decisions about PERSON.")]
Last = Annotated[int | None, typer.Option("--last", min=1, help="Only so many of the newest decisions.")]
Questions = Annotated[int, typer.Option("--most", min=1, help="Suggest at most so many pairs.")]
BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="JSON file of decisions.")]

app = typer.Typer(
    name="people", invoke_without_command=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback()
def people(
    ctx: typer.Context,
    store: opt.Store = STORE,
    unnamed: Unnamed = False,
    hidden: Hidden = False,
    most: opt.Most = 40,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """List the people of all videos; show, name, join, split and correct them."""
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    found = _library(store).people.all(unnamed=unnamed, hidden=hidden)
    shown, left_out = found[:most], max(0, len(found) - most)
    if as_json:
        console.say_json(documents.people(store, shown, left_out))
    elif not found:
        console.say(
            "Nobody is in the library" + (" without a name." if unnamed else "; run: facereel index VIDEO")
        )
    else:
        rows = [
            (one.id, one.name or "", one.videos, _minutes(one), "hidden" if one.hidden else "")
            for one in shown
        ]
        columns = ("id", "name", "videos", "minutes", "")
        console.table(columns if hidden else columns[:4], rows if hidden else [row[:4] for row in rows])
        if left_out:
            console.say(f"{count(left_out, 'person is', 'people are')} not listed; --most N lists more")


@app.command()
def show(
    person: Person, data: Data = False, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Show where a person is seen and what was decided about them."""
    people = _library(store, engine).people
    if data:
        console.say_json(documents.person_data(people.data(person)))
        return
    details = people.details(person)
    if as_json:
        console.say_json(documents.person(details))
    else:
        _show(details, _names(people.all(hidden=True)))


@app.command()
def sheet(
    store: opt.Store = STORE, out: SheetOut = Path("outputs/people.png"), unnamed: Unnamed = False,
    most: opt.Most = 40, as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Draw the people of all videos: a row for each, with their best face crops."""
    drawn = _library(store).people.sheet(out, most=most, unnamed=unnamed)
    if as_json:
        console.say_json(documents.people_sheet(drawn))
        return
    more = f"; {drawn.left_out:,} more are not on it, --most N shows more" if drawn.left_out else ""
    console.say(f"{count(len(drawn.people), 'person', 'people')} in {printable(drawn.file)}{more}")


@app.command()
def name(
    person: Person, name: NewName, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Give a person a name."""
    change = _library(store, engine).people.name(person, name)
    _changed(change, f"person {change.person.id} is {_name(change.person)}", as_json)


@app.command()
def merge(
    person: Person, others: Others, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Say that people are one person; PERSON keeps id and name."""
    change = _library(store, engine).people.merge(person, others)
    gone = f"; no longer called {' and '.join(map(printable, change.given_up))}" if change.given_up else ""
    _changed(change, f"{_summary(change.person)}{gone}", as_json)


@app.command()
def split(
    person: Person, faces: FacesOrVideos, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Say that faces of a person are somebody else, who becomes a new person."""
    change = _library(store, engine).people.split(person, faces)
    new = (
        ""
        if change.split_off is None
        else f"{_tracks(change)} of {_name(change.person)}: now person {change.split_off.id}"
    )
    if not change.person.videos:
        new += f"; {_name(change.person)} has no faces left"
    _changed(change, new, as_json)


@app.command()
def accept(
    person: Person, faces: Faces, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Say that faces are a person: they match from now on, and the person is searched by them too."""
    change = _library(store, engine).people.accept(person, faces)
    before = {
        face.person.id: _name(face.person)
        for face in change.faces
        if face.person is not None and face.person.id != change.person.id and face.person.name
    }
    was = f"; until now {' and '.join(before.values())}" if before else ""
    _changed(change, f"{_tracks(change)} accepted as {_name(change.person)}{was}", as_json)


@app.command()
def reject(
    person: Person, faces: Faces, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Say that faces are not a person: they never match the person again."""
    change = _library(store, engine).people.reject(person, faces)
    _changed(change, f"{_tracks(change)} rejected as {_name(change.person)}", as_json)


@app.command()
def hide(
    person: Person, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Leave a person out of lists, sheets and --everybody; --person still finds them."""
    change = _library(store, engine).people.hide(person)
    _changed(change, f"{_name(change.person)} is hidden", as_json)


@app.command()
def unhide(
    person: Person, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """Take a hidden person back into lists."""
    change = _library(store, engine).people.unhide(person)
    _changed(change, f"{_name(change.person)} is listed again", as_json)


@app.command()
def undo(
    numbers: Numbers = None, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Undo the last decision, or those with numbers N in the log; an undo can be undone by its number."""
    people = _library(store).people
    undone = people.undo(*(numbers or ()))
    if as_json:
        console.say_json(documents.undone(undone))
        return
    names = _names(people.all(hidden=True))
    for decision in undone:
        console.say(f"undone: {decision.number}, {_words(decision, names)}")


@app.command()
def log(
    person: OnlyPerson = None, last: Last = None, store: opt.Store = STORE, engine: opt.Engine = ENGINE,
    as_json: opt.Json = False, debug: opt.Debug = False,
) -> None:  # fmt: skip
    """List the decisions, the newest last."""
    people = _library(store, engine).people
    decisions = people.log(person, last=last)
    if as_json:
        console.say_json(documents.log(decisions))
    elif not decisions:
        console.say("Nothing was decided yet.")
    else:
        _log(decisions, _names(people.all(hidden=True)))


@app.command()
def suggest(
    most: Questions = 10, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Suggest which people may be one person, those first whose answer gains most; none twice."""
    found = _library(store).people.suggest(most)
    if as_json:
        console.say_json(documents.suggestions(found))
        return
    if not found:
        console.say("There is nothing to suggest.")
        return
    rows = [
        (one.person.id, one.person.name or "", one.other.id, one.other.name or "", round(one.similarity, 2),
         f"{one.likelihood:.0%}", _minutes(one.other))
        for one in found
    ]  # fmt: skip
    console.table(("person", "name", "other", "name", "similarity", "likely one", "minutes"), rows)
    first = found[0]
    console.say(f"if they are one run: facereel people merge {first.person.id} {first.other.id}; "
                f"look at them with: facereel people show {first.other.id}")  # fmt: skip


@app.command()
def backup(
    file: BackupFile, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Write all decisions into a JSON file, which `people restore` reads."""
    number = _library(store).people.backup(file)
    if as_json:
        console.say_json(documents.backup(file, number))
    else:
        console.say(f"{count(number, 'decision')} in {printable(file)}")


@app.command()
def restore(
    file: BackupFile, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Add the decisions of a backup that are not in the library."""
    restored = _library(store).people.restore(file)
    if as_json:
        console.say_json(documents.restored(file, restored))
        return
    report.restored(restored)


def _refuse_options(ctx: typer.Context) -> None:
    """An option before the command would count for the list only: say so instead of passing it over.

    All but --store, which counts for every command.
    """
    for name in ("unnamed", "hidden", "most", "as_json"):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.removeprefix("as_")
            raise typer.BadParameter(f"put --{option} after {ctx.invoked_subcommand}", ctx)


def _library(store: Path, engine: str = ENGINE) -> api.Library:
    return api.Library(store, engine=engine, on_note=console.note)


def _name(person: LibraryPerson) -> str:
    return printable(person.title)


def _summary(person: LibraryPerson) -> str:
    name = f" ({printable(person.name)})" if person.name else ""
    return f"person {person.id}{name}: {_minutes(person)} minutes in {count(person.videos, 'video')}"


def _minutes(person: LibraryPerson) -> float:
    return round(person.seconds / 60, 2)


def _tracks(change: Change) -> str:
    return count(sum(len(face.tracklets) for face in change.faces), "face track")


def _changed(change: Change, text: str, as_json: bool) -> None:
    if as_json:
        console.say_json(documents.change(change))
    else:
        console.say(f"{text}; to undo it run: facereel people undo {' '.join(map(str, change.decisions))}")


def _show(details: PersonDetails, names: Mapping[int, str]) -> None:
    person = details.person
    console.say(_summary(person) + ("; hidden" if person.hidden else ""))
    if details.confirmed or details.rejected:
        console.say(f"confirmed: {count(details.confirmed, 'face track')}, rejected: {details.rejected:,}")
    if details.appearances:
        rows = [
            (one.video, clock(one.start), round(one.seconds, 1), one.tracklets,
             " ".join(f"#{cluster}" for cluster in one.clusters))
            for one in details.appearances
        ]  # fmt: skip
        console.table(("video", "from", "seconds", "face tracks", "clusters"), rows)
    if details.decisions:
        _log(details.decisions, names)


def _names(people: Sequence[LibraryPerson]) -> dict[int, str]:
    return {one.id: one.name for one in people if one.name}


def _log(decisions: Sequence[Decision], names: Mapping[int, str]) -> None:
    rows = [
        (one.number, one.time[:16].replace("T", " "), _words(one, names), "" if one.counts else "undone")
        for one in decisions
    ]
    console.table(("decision", "time (UTC)", "what", ""), rows)


def _words(decision: Decision, names: Mapping[int, str]) -> str:
    """A decision in words; `names` are those of today, by id."""
    tracks = count(decision.face_tracks, "face track")

    def who(person: int | None) -> str:
        name = None if person is None else names.get(person)
        return f"person {person}" + (f" ({name})" if name else "")

    match decision.kind:
        case "name":
            return f"person {decision.person} is {decision.name}"
        case "merge":
            return f"{who(decision.other)} is {who(decision.person)}"
        case "split":
            return f"{tracks} of {who(decision.person)} are {who(decision.other)}"
        case "accept":
            return f"{tracks} accepted as {who(decision.person)}"
        case "reject":
            return f"{tracks} rejected as {who(decision.person)}"
        case "undo":
            return "a decision undone" if decision.undoes is None else f"decision {decision.undoes} undone"
        case _:
            words = {"hide": "hidden", "show": "listed again", "forget": "forgotten"}
            return f"{who(decision.person)} {words[decision.kind]}"
