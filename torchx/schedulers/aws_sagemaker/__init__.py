"""The parts of the scheduler whose public path is ``torchx.schedulers.aws_sagemaker_scheduler``."""
