"""More than two hundred requests that no page of ours sends: nothing is served, nothing is changed."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from facereel import Library
from facereel.query.web.app import routes, uploads
from facereel.query.web.jobs import Jobs
from facereel.query.web.site import Site as WebSite
from tests import hostile
from tests.hostile import Place, send
from tests.served import Site, copy_store, serve

SECRET = "nobody may read this line"


@pytest.fixture(scope="module")
def site(film_store: Path, film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over a small library, with secrets beside and above everything that it may serve."""
    folder = tmp_path_factory.mktemp("hostile")
    root = folder / "root"
    root.mkdir()
    video = Path(shutil.copy(film, root))
    for place in (folder, root):
        (place / "secret.txt").write_text(SECRET)
    (root / "link").symlink_to(folder)
    store = copy_store(film_store, root / "faceindex", video)
    Library(store, engine="fake").people.name("1", "Anna")
    (root / "outputs" / "anna").mkdir(parents=True)
    (root / "outputs" / "anna" / "metadata.json").write_text("{}")
    with serve(store, root, "--engine", "fake", program=("-m", "tests.fake_cli")) as site:
        yield site


@pytest.fixture(scope="module")
def place(site: Site) -> Place:
    """What an attacker may know of it."""
    with site.client() as client:
        (cookie,) = client.cookies.jar
    token = parse_qs(urlsplit(site.address).query)["token"][0]
    (folder,) = site.store.glob("two.mp4-*")
    return Place(site.port, f"{cookie.name}={cookie.value}", token, folder.name, 1, "anna", "metadata.json")


@pytest.fixture(scope="module")
def addresses(site: Site, place: Place) -> tuple[list[str], list[str], list[str]]:
    """Every address of the program: with one of its ids as `{}`, those that are read, those that change something."""
    known = {
        "folder": place.folder,
        "person": "1",
        "name": place.result,
        "file": place.file,
        "frame": "0",
        "job": "x",
    }
    holes = ["/static/{}", "/static/lib/{}"]
    gets: list[str] = []
    posts: list[str] = []
    for route in routes(WebSite(Library(site.store), site.root, site.out, Jobs())):
        words = re.findall(r"{(\w+)(?::\w+)?}", route.path)
        pattern = re.sub(r"{(\w+)(?::\w+)?}", r"{\1}", route.path)
        values = {word: known.get(word, "1") for word in words}
        holes += [
            pattern.format(**{**values, word: "{}"}) for word in words if "GET" in (route.methods or ())
        ]
        (gets if "GET" in (route.methods or ()) else posts).append(pattern.format(**values))
    return holes, sorted(set(gets)), sorted(set(posts))


def fingerprint(site: Site) -> dict[str, str]:
    """What everybody is and what was decided, and every file below what is served, by its bytes.

    Not of library.db, which also notes when the store was listed; SQLite's own files beside it hold nothing that lasts.
    """
    people = Library(site.store, engine="fake").people
    files = {
        path.relative_to(site.root.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(site.root.parent.rglob("*"))
        if path.is_file() and not path.name.endswith(("library.db", "-shm", "-wal", "-journal"))
    }
    return files | {"people": repr((people.all(hidden=True), people.log()))}


def test_nothing_is_served_and_nothing_is_changed(
    site: Site, place: Place, addresses: tuple[list[str], list[str], list[str]]
) -> None:
    holes, gets, posts = addresses
    before = fingerprint(site)
    requests = [
        *hostile.paths(place, holes),
        *hostile.hosts(place), *hostile.tokens(place, gets), *hostile.origins(place, posts),
        *hostile.methods(place, gets, posts), *hostile.bodies(place, posts), *hostile.framing(place),
        *hostile.fields(place, posts),
        *hostile.uploads(place, uploads()),
    ]  # fmt: skip
    assert len(requests) > 200
    served = []
    for what, request in requests:
        status, answer = send(site.port, request)
        if status and not 400 <= status < 500:
            served.append(f"{what}: {status}")
        said = answer.decode("latin-1")
        if any(word in said for word in (SECRET, "root:x:0", place.token, str(site.root), "Traceback")):
            served.append(f"{what}: {said[-300:]}")
    assert served == []
    assert fingerprint(site) == before
    with site.client() as client:
        assert client.get("/").status_code == 200


def test_parts_of_a_file_are_parts_of_it_and_no_more_than_the_whole(site: Site, place: Place) -> None:
    (video,) = site.root.glob("*.mp4")
    content = video.read_bytes()
    wrong = []
    for what, request in hostile.ranges(place):
        status, answer = send(site.port, request)
        head, _, body = answer.partition(b"\r\n\r\n")
        if status == 200:
            right = body == content
        elif status == 206 and b"multipart/byteranges" not in head:
            right = body in content
        else:
            # Several parts have a few lines each between them; many small ones may not outgrow the file.
            right = status in (206, 400, 416, 431) and len(body) <= 2 * len(content)
        if not right:
            wrong.append((what, status, len(body)))
    assert wrong == []
    with site.client() as client:
        assert client.get("/").status_code == 200
