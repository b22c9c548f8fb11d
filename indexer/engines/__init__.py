"""Engines find faces in pictures and turn aligned ones into embeddings; one file an engine.

Every engine keeps the contract of FaceEngine in protocol.py: pictures of any size; boxes and landmarks in pixels, best
first; unit vectors that are the same alone as in a batch; face confidences that separate faces from everything else;
several threads at once. Weights are checked by digest and never fetched unasked. Engines know nothing of videos,
tracklets or stores. How to add another:

1. Write `indexer/engines/NAME.py`: a class that implements FaceEngine, made from a Compute, whose `providers()` and
   `check()` say where to run. Its docstring says where the weights are from, under which licence, and which papers they
   follow. What every detector needs is in detections.py: scales, padding, suppression of boxes that overlap.
2. Enter a function that imports it in LOADERS of registry.py. A script of your own that enters one and calls cli.run
   takes it from a module: workers unpickle it by name and do not import the script.
3. Run `python -m pytest tests/test_engine.py`: the contract test takes every engine of LOADERS and is the checklist.
4. Measure its threshold by `facereel engines --calibrate FOLDER --engine NAME`, name it with its source, and measure
   the engine by `python -m tests.benchmarks accuracy strangers identity --engine NAME`.

CenterFace with SFace was tried and left out. On films it found as much (recall 0.991 and 0.989) and nobody wrong, but
a search took ten times as long as YuNet's, and of 40 faces of 12 px it detected 13 where YuNet detects all.
"""
