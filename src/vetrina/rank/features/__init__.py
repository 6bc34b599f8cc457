"""Ranking features, one file per family."""

from vetrina.rank.features.base import READS, FeatureFamily, Read
from vetrina.rank.features.freshness import Freshness
from vetrina.rank.features.fuzzy import Fuzzy
from vetrina.rank.features.given import Given
from vetrina.rank.features.history import History
from vetrina.rank.features.looks import Looks
from vetrina.rank.features.people import People
from vetrina.rank.features.popularity import Popularity
from vetrina.rank.features.price import Price
from vetrina.rank.features.queries import Queries
from vetrina.rank.features.rates import Rates
from vetrina.rank.features.session import Session
from vetrina.rank.features.shopper import Shopper
from vetrina.rank.features.sources import Sources
from vetrina.rank.features.taste import Taste
from vetrina.rank.features.time_of_day import Time
from vetrina.rank.features.words import Words

__all__ = [
    "READS",
    "FeatureFamily",
    "Freshness",
    "Fuzzy",
    "Given",
    "History",
    "Looks",
    "People",
    "Popularity",
    "Price",
    "Queries",
    "Rates",
    "Read",
    "Session",
    "Shopper",
    "Sources",
    "Taste",
    "Time",
    "Words",
]
