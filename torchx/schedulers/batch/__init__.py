"""What the schedulers of batch systems with a shared file system have in common."""
