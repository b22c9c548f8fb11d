"""The command line with the fake engines, as a process of its own: `python -m tests.fake_cli index ...`."""

from __future__ import annotations

from functools import partial

import cli
from indexer.engine import LOADERS
from tests.fake_engine import FakeEngine


def add_fake_engines() -> None:
    """Engines `fake`, `fake-other` (another one) and `fake-new` (the first with other weights)."""
    # No lambdas: workers are told of these by name.
    LOADERS["fake"] = FakeEngine
    LOADERS["fake-other"] = partial(FakeEngine, "fake-other")
    LOADERS["fake-new"] = partial(FakeEngine, "fake", "new weights")


if __name__ == "__main__":
    add_fake_engines()
    cli.run()
