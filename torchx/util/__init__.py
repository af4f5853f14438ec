"""Leaf modules that every other layer may use."""
