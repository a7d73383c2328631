"""For all tests: on CI, hypothesis tries the same examples each time.

A change must not be refused for an old fault that chance finds; whoever runs the tests by hand
searches anew each time.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
