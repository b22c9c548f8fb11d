"""Everything that a terminal shows: options, lines, tables, progress. The only place that prints."""
