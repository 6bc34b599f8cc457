"""Ranking: features of (window, query, candidate), and rankers that order candidates by them."""

from vetrina.rank import features
from vetrina.rank.base import Ranker, TrainingRows
from vetrina.rank.features import FeatureFamily
from vetrina.rank.lambdamart import LambdaMART
from vetrina.rank.match_score import MatchScore

__all__ = ["FeatureFamily", "LambdaMART", "MatchScore", "Ranker", "TrainingRows", "features"]
