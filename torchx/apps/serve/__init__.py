"""Programs behind the ``serve.*`` components."""
