"""What the schedulers of AWS share. ``boto3`` is imported only when AWS is called."""
