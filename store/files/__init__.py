"""Files and folders that are there whole or not at all, locks, digests and safe names. Knows no content."""
