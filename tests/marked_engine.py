"""An engine that films can crash or hold up, in a module that the workers of a cluster can import by its name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import FaceEngine
from facereel.store.model.records import Faces, Image
from tests.fake_engine import FakeEngine


class Marked(FakeEngine):
    """Crashes when it sees magenta; when it sees blue it waits for a file, and writes its process into another."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def detect(self, image: Image) -> Faces:
        b, g, r = (int(value) for value in image.reshape(-1, 3).max(axis=0) > 200)
        if (b, g, r) == (1, 0, 1):
            os.kill(os.getpid(), signal.SIGSEGV)
        while (b, g, r) == (1, 0, 0) and not (self._folder / "go").exists():
            if not (self._folder / "waiting").exists():
                (self._folder / "part").write_text(str(os.getpid()))
                (self._folder / "part").replace(self._folder / "waiting")
            time.sleep(0.05)
        return super().detect(image)


def marked_engine(folder: Path, compute: Compute) -> FaceEngine:
    return Marked(folder)
