"""Counts the workers of a job by adding up a one from each, to prove that they reach each other."""
