"""Ranking features, one file per family."""

from vetrina.rank.features.base import FeatureFamily
from vetrina.rank.features.history import History
from vetrina.rank.features.looks import Looks
from vetrina.rank.features.people import People
from vetrina.rank.features.popularity import Popularity
from vetrina.rank.features.price import Price
from vetrina.rank.features.shopper import Shopper
from vetrina.rank.features.sources import Sources
from vetrina.rank.features.taste import Taste
from vetrina.rank.features.words import Words

__all__ = ["FeatureFamily", "History", "Looks", "People", "Popularity", "Price", "Shopper", "Sources", "Taste", "Words"]
