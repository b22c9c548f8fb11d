"""What is remembered: indexes, the unfinished and the whole, and the library over them. Imports nothing of ours."""
