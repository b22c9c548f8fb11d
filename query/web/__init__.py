"""The local page: what a browser shows of a library, and what it lets a user do with it.

Handlers read a request, call the API, and give its answer to a template or as JSON; they hold no logic of their own.
A view is one module with its `routes`, its templates and its files in `static`. The guard stands before all of them:
whoever has not the token, comes by another name, or asks from another page gets nothing.

Knows the API only. Prints nothing: `cli.py serve` says where the page is.
"""
