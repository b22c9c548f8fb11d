"""Memory of the server while pages, pictures and parts of videos are asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.processes import sample
from tests.served import Site

EVERY = 250  # requests
REQUESTS = 1_000
MOST_MIB = 8.0  # what a server may grow by that keeps nothing of its requests: allocators round up


def memory(site: Site, addresses: Sequence[str]) -> tuple[list[dict[str, Any]], list[Figure]]:
    """The same addresses in turn; the first thousand requests fill what is held on purpose, the second judge."""
    rows = []
    with site.client() as client:
        for done in range(0, 2 * REQUESTS + 1, EVERY):
            for address in islice(cycle(addresses), EVERY if done else 0):
                client.get(
                    address, headers={"Range": "bytes=0-65535"} if address.startswith("/media") else {}
                )
            now = sample(site.pid)
            rows.append({"requests": done, "MiB": now.total / 2**20, "open files": now.handles})
    first = next(row for row in rows if row["requests"] == REQUESTS)
    return rows, [
        at_most("memory after 1,000 more requests, MiB more", rows[-1]["MiB"] - first["MiB"], MOST_MIB),
        at_most(
            "open files after 1,000 more requests, more", rows[-1]["open files"] - first["open files"], 2
        ),
    ]
