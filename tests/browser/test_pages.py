"""What holds for every page: no fault is logged, axe finds nothing grave, nobody scrolls sideways."""

from __future__ import annotations

import pytest

from tests.browser import access
from tests.browser.conftest import Visit
from tests.served import Site

PAGES = {"Library": "/", "People": "/people"}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_each_page_can_be_used_by_everybody(
    visit: Visit, common_site: Site, path: str, width: int, dark: bool
) -> None:
    page = visit(common_site, path, width=width, dark=dark)
    page.wait_for_load_state("networkidle")
    assert access.faults(page) == []
    assert access.overflow(page) == []
