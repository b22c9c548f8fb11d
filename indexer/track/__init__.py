"""Links the faces of consecutive frames into tracks: one face each, inside one shot.

What it does: a Tracker takes FrameViews in order, with the shot of each, and gives tracks as they end.

What it owes: a track has a box for every frame from its first to its last, and stays in its shot. It ends where the
face is fully hidden, and breaks rather than mix two people. The order of the detections of a frame does not matter.

What it does not know: who anybody is (tracks of one person are joined later, by identity), where shots begin, and the
full-size pixels of a frame.
"""
