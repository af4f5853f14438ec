"""Programs for integration tests."""
