"""What the shop imposes on a ranking."""

from vetrina.policy.rules import PolicyConfig, allowed_items, finish

__all__ = ["PolicyConfig", "allowed_items", "finish"]
