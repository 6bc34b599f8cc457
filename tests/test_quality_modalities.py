"""Floors of the modalities on real data, `make quality`: what the docs claim of them, measured again and asserted."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.quality
