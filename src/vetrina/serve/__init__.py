"""The HTTP API and the storefront over one shop. No algorithms here: every answer is the engine's."""

from vetrina.serve.app import create_app, run

__all__ = ["create_app", "run"]
