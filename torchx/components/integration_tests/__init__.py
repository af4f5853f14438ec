"""Runs the built-in components on a scheduler, to see whether it works."""
