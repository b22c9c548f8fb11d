"""What axe-core finds hard to use in a page: contrast, names, roles, order, landmarks."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = {"serious", "critical"}


def faults(page: Page) -> list[str]:
    """Each serious or critical fault as `rule: selector`; empty when there is none."""
    results: dict[str, Any] = Axe().run(page).response
    return [
        f"{violation['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for violation in results["violations"]
        for node in violation["nodes"]
        if node["impact"] in GRAVE
    ]


def overflow(page: Page) -> list[str]:
    """What makes a page wider than its window, as tags with classes; empty when nobody must scroll sideways."""
    found: list[str] = page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            return [...document.querySelectorAll("body *")]
                .filter((element) => element.getBoundingClientRect().right > width + 1)
                .map((element) => `${element.tagName.toLowerCase()}.${element.className}`)
                .slice(0, 5);
        }"""
    )
    return found or []
