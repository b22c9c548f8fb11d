"""One file an engine, named in LOADERS of indexer/engines/engine.py. How to add another:

1. Write `indexer/engines/NAME.py`: a class with what `indexer.engine.FaceEngine` asks for, made from a Compute, whose
   `providers()` and `check()` say where to run. Its docstring says where the weights are from, under which licence,
   and which papers they follow. What every detector needs is in candidates.py: scales, padding, the best of boxes
   that overlap. Weights are checked by digest and never fetched unasked.
2. Enter a function that imports it in LOADERS, and its licence in LICENCES of indexer/engines/status.py.
3. Run `python -m pytest tests/test_engine.py`: the contract test takes every engine of LOADERS and is the checklist.
   Pictures of any size; boxes and landmarks in pixels, best first; unit vectors, alone as in a batch; strengths that
   tell faces from none; several threads at once.
4. Measure its threshold by `python cli.py engines --calibrate FOLDER --engine NAME`, name it with its source, and
   measure the engine by `python -m tests.benchmarks accuracy strangers identity --engine NAME`.

CenterFace with SFace was tried so. On films it found as much (recall 0.991 and 0.989) and nobody wrong, but a search
took ten times as long as YuNet's, and of 40 faces of 12 px it saw 13 where YuNet sees all. It was left out.
"""
