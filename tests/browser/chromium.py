"""Where the system's Chromium is. `python -m tests.browser.chromium` says what is left out where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

# Playwright's own build plays neither H.264 nor AAC; those of the systems do.
NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "Chromium is missing: the tests in a browser are left out. Debian has it as `apt-get install chromium`; "
    "elsewhere FACEREEL_CHROMIUM names the program."
)


@cache
def chromium() -> str | None:
    """Path of a Chromium that starts, or None. Where only a snap has it, Ubuntu's command of that name does not."""
    for name in (os.environ.get("FACEREEL_CHROMIUM"), *NAMES):
        path = shutil.which(name) if name else None
        if path:
            version = [path, "--version", "--no-sandbox"]
            done = subprocess.run(version, capture_output=True, timeout=60, check=False)
            if done.returncode == 0:
                return path
    return None


if __name__ == "__main__" and chromium() is None:
    print(MISSING)
