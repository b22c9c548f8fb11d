"""Which tracklets of which videos show the people of a query, and which almost do; and what forget removes.

It owes its caller: the answers are those of comparing the references with every cluster, whatever the derived files
hold; an index that is replaced meanwhile answers as it was or as it is, never as a mixture. Near misses are reported
for the videos with a similar cluster. It decodes nothing and does not know clips, files of results or the terminal.
"""
