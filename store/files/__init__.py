"""Files and folders in a store and among results: complete or not there, locked, digested, safely named.

Does: writes files and folders so that a crash leaves the old or the new; locks by filelock; makes names that are
legal everywhere. Owes: what has its name is complete and on the disk; a lock ends with its process; readers wait for
nobody. Does not know: what lies in a file.
"""
