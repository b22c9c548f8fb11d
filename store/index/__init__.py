"""One video's index: its tables, and how it is read, written, checked and changed. Knows no other video."""
