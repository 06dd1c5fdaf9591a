"""The honest proof: servers that we did not write, sick by their handlers or clients only, and the same ones healthy.

`python -m tests.corpus` (`make corpus`) runs every server in every condition that applies to it, asks `lastack
diagnose`, and writes what it said into a table. CI runs a drawn slice (test_corpus) and replays recordings of the
rest (test_replays).
"""
