"""Writes results in formats that other programs read: metadata (JSON and CSV) and a contact sheet (PNG).

It owes its caller: the fields of the metadata are those that outputs/README.md documents, and a change of them changes
the schema. Paths and names of folders are written only with `absolute`. It does not know how matches are found and does
not cut: metadata.py takes planned clips, contact_sheet.py an open index, of which it draws the stored crops.
"""
