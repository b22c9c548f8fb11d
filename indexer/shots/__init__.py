"""Finds shot boundaries: cuts and gradual transitions, in thumbnails of consecutive frames.

What it does: a ShotDetector takes one thumbnail a frame and numbers the shots. The default is adaptive.py;
PySceneDetect's own detectors stand behind the same interface.

What it owes: every frame belongs to exactly one shot, and an answer about a frame before `final_before` never changes.
Only a few seconds of thumbnails stay in memory.

What it does not know: faces, full-size pixels, and time stamps; times are frames at the video's mean rate.
"""
