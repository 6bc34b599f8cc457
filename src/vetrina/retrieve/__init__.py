"""Candidate sources, one file each, and their merging."""

from vetrina.retrieve.base import Retriever
from vetrina.retrieve.history import History
from vetrina.retrieve.item_item import ItemItem
from vetrina.retrieve.lexical import Lexical
from vetrina.retrieve.merge import merge, reciprocal_rank
from vetrina.retrieve.popular import Popular
from vetrina.retrieve.vector import PhotoVector, TextVector, Vector

__all__ = [
    "History",
    "ItemItem",
    "Lexical",
    "PhotoVector",
    "Popular",
    "Retriever",
    "TextVector",
    "Vector",
    "merge",
    "reciprocal_rank",
]
