"""The history: alerts and blocks on disk, written by the daemon and asked by people.

Importing the package alone imports nothing of it, so that a command that only asks does not load
what the writer needs.
"""
