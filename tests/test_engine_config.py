"""What shop.toml says is checked when it is read, not when it is first needed."""

from __future__ import annotations

from typing import Any

import pytest

from vetrina.core.errors import ConfigError
from vetrina.engine import ShopConfig


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"rank": {"ranker": "lambdamrt"}}, r"There is no ranker 'lambdamrt'\. Did you mean 'lambdamart'"),
        ({"rank": {"ranker": "blend", "options": {"members": {"lstn": {}}}}}, "There is no ranker 'lstn'"),
        ({"rank": {"features": ["word"]}}, "There is no features 'word'"),
        ({"rank": {"training": "ahead", "ahead_days": 1e-6}}, r"rank\.ahead_days: .*greater than or equal to 0\.1"),
        ({"encode": {"text": {"encoder": "tfdif"}}}, r"There is no encoder 'tfdif'\. Did you mean 'tfidf'"),
        ({"retrieve": {"lexicl": {}}}, "There is no retriever 'lexicl'"),
    ],
)
def test_a_wrong_name_or_number_is_told_at_once(section: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ShopConfig.parse({"items": {"file": "items.csv", "item": "item"}, **section}, "")
