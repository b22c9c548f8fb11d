"""ONNX Runtime, imported so that it reports nothing to its makers. Nothing else of ours imports it.

Its builds for Linux, macOS and Windows have telemetry that is on by default. Once the library is loaded,
`disable_telemetry_events` does not stop it: it still looks up its server and writes an identifier into the user's
cache folder (seen with 1.32 in a process without a network). What stops it is an environment variable that is set
while the library is loaded (onnxruntime/Privacy.md, "Disabling Telemetry"). The environment is as before afterwards.
A program that loaded ONNX Runtime before FaceReel has decided this for itself.
"""

from __future__ import annotations

import os

_SWITCH = "ORT_DISABLE_TELEMETRY"

_before = os.environ.get(_SWITCH)
os.environ[_SWITCH] = "1"
try:
    import onnxruntime
finally:
    if _before is None:
        del os.environ[_SWITCH]
    else:
        os.environ[_SWITCH] = _before

onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
