"""Pass two: a question becomes an answer, and the answer clips."""
