"""Trackers that come with torchx and that a configuration file describes."""
