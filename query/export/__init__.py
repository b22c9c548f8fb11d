"""Writes results in formats that other programs read: metadata (JSON and CSV), timelines of editing programs, boxes for
annotation tools, and contact sheets (PNG).

It owes its caller: the fields of the metadata are those that outputs/README.md documents, and a change of them changes
the schema; the frames of a timeline are exactly those of the clips, and boxes those of the faces in them. Absolute
paths are written only with `absolute`. It does not know how matches are found and does not cut: metadata.py,
timeline.py and annotation.py take planned clips, contact_sheet.py an open index, of which it draws the stored crops.
Each format is a function in a file of its own: of a timeline to text, of the boxes of a video to parts of the text;
editors.py knows them all.
"""
