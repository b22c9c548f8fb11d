"""Indexes, unfinished and complete, and the library over them. Imports neither indexer nor query."""
