"""One frozen Config, passed to whoever needs it and never read from a global."""
