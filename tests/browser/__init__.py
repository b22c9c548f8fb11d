"""The page as a user has it: a real server, a real library, a real browser.

Tests take `site` (a server with a library of its own, which they may change) or `common_site` (one for all tests
that only look), and `visit`, which opens a page of it. A test fails when a page logs an error, raises one, or asks
any other host for anything. Without Chromium all of this is left out, and says so in one line.
"""
