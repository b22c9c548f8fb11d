"""Pass one: a video becomes an index. `pipeline.py` tells the story."""
