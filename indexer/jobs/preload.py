"""Gives NumPy's OpenBLAS one thread in the process that workers are forked from, which imports this first.

Several pictures are worked on at once, each by a thread; those of OpenBLAS would spin while they wait for work, which
takes a twentieth of all CPU time. It reads how many threads it may have when NumPy is imported. No code of users runs
in that process.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
