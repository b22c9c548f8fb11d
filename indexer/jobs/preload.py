"""Imports sqlite-utils in the process that workers are forked from, without pandas.

Where pandas is installed sqlite-utils imports it for a type of column that no index has, which takes 0.6 s of CPU and
65 MiB. That process has one thread and runs no code of users, so that pandas can be hidden from it for a moment.
"""

from __future__ import annotations

import sys

_hidden = "pandas" not in sys.modules
if _hidden:
    sys.modules["pandas"] = None  # type: ignore[assignment]  # importing it then fails, as where it is not installed
try:
    import sqlite_utils  # noqa: F401  # which workers have loaded then
finally:
    if _hidden:
        del sys.modules["pandas"]
