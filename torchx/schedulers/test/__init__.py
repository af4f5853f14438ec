"""Helpers for the tests of schedulers."""
