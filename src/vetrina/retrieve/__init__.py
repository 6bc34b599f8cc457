"""Candidate sources, one file each, and their merging."""

from vetrina.retrieve.als import Als
from vetrina.retrieve.base import Retriever
from vetrina.retrieve.bpr import Bpr
from vetrina.retrieve.content import Content
from vetrina.retrieve.ease import Ease
from vetrina.retrieve.gru import Gru
from vetrina.retrieve.history import History
from vetrina.retrieve.item_item import ItemItem
from vetrina.retrieve.lexical import Lexical
from vetrina.retrieve.merge import merge, reciprocal_rank
from vetrina.retrieve.popular import Popular
from vetrina.retrieve.query_item import QueryItem
from vetrina.retrieve.sasrec import SasRec
from vetrina.retrieve.user_user import UserUser
from vetrina.retrieve.vector import PhotoVector, TextVector, Vector

__all__ = [
    "Als",
    "Bpr",
    "Content",
    "Ease",
    "Gru",
    "History",
    "ItemItem",
    "Lexical",
    "PhotoVector",
    "Popular",
    "QueryItem",
    "Retriever",
    "SasRec",
    "TextVector",
    "UserUser",
    "Vector",
    "merge",
    "reciprocal_rank",
]
