"""Helpers for the tests of torchx and of packages that build on it."""
