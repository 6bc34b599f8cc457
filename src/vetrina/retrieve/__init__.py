"""Candidate sources, one file each, and their merging."""

from vetrina.retrieve.base import Retriever
from vetrina.retrieve.history import History
from vetrina.retrieve.item_item import ItemItem
from vetrina.retrieve.lexical import Lexical
from vetrina.retrieve.merge import merge
from vetrina.retrieve.popular import Popular

__all__ = ["History", "ItemItem", "Lexical", "Popular", "Retriever", "merge"]
