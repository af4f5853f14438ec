from __future__ import annotations

import hypothesis

# A busy machine must not fail a test.
hypothesis.settings.register_profile("torchx", deadline=None)
hypothesis.settings.load_profile("torchx")
