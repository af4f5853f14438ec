"""What a program uses while it runs as a job, on any scheduler."""
