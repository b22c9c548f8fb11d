"""Everything that a terminal shows: options with their help, lines, tables, progress, and the objects of --json.

The only place that prints, and in hooks.py the only one that calls what the user named. Results go to stdout, all else
to stderr; with --json stdout is one object. Commands in messages have the name under which the program was called.
Knows the records of the API, not how they are made.
"""
