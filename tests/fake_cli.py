"""The command line with the fake engines, as a process of its own: `python -m tests.fake_cli index ...`."""

from __future__ import annotations

from functools import partial

from facereel import cli
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import LOADERS
from tests.fake_engine import FakeEngine


def add_fake_engines() -> None:
    """Engines `fake`, `fake-other` (another one) and `fake-new` (the first with other weights)."""
    # No lambdas: these are pickled by name for worker processes.
    LOADERS["fake"] = partial(_fake, "fake", "")
    LOADERS["fake-other"] = partial(_fake, "fake-other", "")
    LOADERS["fake-new"] = partial(_fake, "fake", "new weights")


def _fake(name: str, salt: str, compute: Compute) -> FaceEngine:
    return FakeEngine(name, salt, compute.device)


if __name__ == "__main__":
    from tests import fake_cli  # by its own name: workers do not import the main module

    fake_cli.add_fake_engines()
    cli.run()
