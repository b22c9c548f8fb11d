"""Pass two: photos of people become matches in the indexed videos, and matches become clips."""
