"""The words of the project as records, with the errors and settings. No input or output."""
