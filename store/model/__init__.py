"""The words of the project as frozen records, its errors, settings and versions.

Owes: a record is never changed, and its fields say shapes and units. Does not know: files, SQL, video, engines.
"""
