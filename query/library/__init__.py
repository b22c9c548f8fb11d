"""The people of a library in questions: whom a command means, by which faces they are found, and what was decided.

persons.py finds out whom a word means, references.py chooses the best faces of a person, questions.py makes both a
question, decisions.py says what is settled about a video, people.py has a call for each command `people ...`,
merging.py makes two libraries one. It owes
its caller: a word that means two people raises with the candidates, and nothing is decided but by a call that says so.
Knows nothing of clips and the terminal.
"""
