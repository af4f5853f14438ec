"""A scheduler, a named resource, a tracker, a component and a command for torchx."""
