"""Programs behind the ``utils.*`` and ``metrics.*`` components."""
