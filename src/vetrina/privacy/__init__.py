"""What keeps shoppers' data theirs: keyed pseudonyms of their ids."""

from vetrina.privacy.pseudonyms import Pseudonyms

__all__ = ["Pseudonyms"]
