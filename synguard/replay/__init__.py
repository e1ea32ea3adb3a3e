"""Replays captures: a file's packets through the same probe, and its snapshots through the same detector."""
