"""Writes what is known in the formats of others, one file a format: metadata (JSON and CSV), a contact sheet (PNG).

The fields of the metadata are documented in outputs/README.md; a change of them changes its schema. Without being asked
nothing here writes a path or a folder name. Knows records only: it neither searches nor cuts.
"""
