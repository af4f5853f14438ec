"""The ``torchx`` command: parses words, calls the runner, prints.

Each sub-command is a :class:`torchx.cli.cmd_base.SubCommand` in its own module ``cmd_<name>``,
imported only when it is used. Packages add their own, or replace one of ours, through the
entry-point group ``torchx.cli.cmds``.
"""
