"""Candidate sources, one file each, and their merging."""

from vetrina.retrieve.als import Als
from vetrina.retrieve.base import Retriever
from vetrina.retrieve.ease import Ease
from vetrina.retrieve.history import History
from vetrina.retrieve.item_item import ItemItem
from vetrina.retrieve.lexical import Lexical
from vetrina.retrieve.merge import merge, reciprocal_rank
from vetrina.retrieve.popular import Popular
from vetrina.retrieve.user_user import UserUser
from vetrina.retrieve.vector import PhotoVector, TextVector, Vector

__all__ = [
    "Als",
    "Ease",
    "History",
    "ItemItem",
    "Lexical",
    "PhotoVector",
    "Popular",
    "Retriever",
    "TextVector",
    "UserUser",
    "Vector",
    "merge",
    "reciprocal_rank",
]
