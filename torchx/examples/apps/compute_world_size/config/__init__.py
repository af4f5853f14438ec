"""The program's configuration, which hydra reads from here."""
