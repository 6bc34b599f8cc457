"""Live windows of shoppers."""

from vetrina.shoppers.store import WindowStore

__all__ = ["WindowStore"]
