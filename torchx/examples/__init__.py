"""Complete programs that run as jobs, small enough to read."""
