"""How fast indexing and queries have to be, in one place."""

from __future__ import annotations

# Real footage: processor time over that of decoding; of all its films in one `index` command, start-up included.
REAL_SET = 3.0
FILM = {"hamilton-grain": 2.0}
# Times real time on two cores.
FILM_SPEED = {"hamilton-grain": 6.0, "sitcom": 15.0, "dance": 5.0, "rally": 5.0}
PLAIN_LOOP = 1.0  # wall time over that of the faster plain loop, all films

# Generated scenes, 720p and 1080p: wall time over that of decoding.
SCENE = {"one": 1.4, "talk": 1.4, "three": 1.4, "crowd": 2.5, "nobody": 1.3}
SCENE_SPEED = 6.0  # times real time, 1080p without the crowd

MEMORY = 600.0  # MiB at 1080p
MEMORY_GROWTH = 1.1  # of the longest video over that of 30 s
INDEX_SIZE = 1.5  # MiB a minute with two faces

HELP, QUERY, WARM_MATCHING, COLD_MATCHING = 0.3, 0.8, 0.5, 2.0  # seconds
CUTTING = 0.5  # of the clip's duration
