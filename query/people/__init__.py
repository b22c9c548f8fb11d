"""Who is searched for: photos become people with references; engines are calibrated on photos.

photos.py assigns photos to people, picture.py reads the pixels of one (heic.py in a process of its own), reference.py
finds and embeds the face in it, agreement.py checks that the photos of a person show one person, calibration.py
measures an engine's threshold. Every photo is used, or named with
the reason why not; photos that clearly show different people are refused. Knows nothing of videos and indexes.
"""
