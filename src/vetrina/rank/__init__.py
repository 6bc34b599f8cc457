"""Ranking: features of (window, query, candidate), and rankers that order candidates by them."""

from vetrina.rank import features
from vetrina.rank.base import Asked, Ranker, TrainingRows
from vetrina.rank.features import FeatureFamily
from vetrina.rank.lambdamart import LambdaMART
from vetrina.rank.match_score import MatchScore
from vetrina.rank.network import Network

__all__ = ["Asked", "FeatureFamily", "LambdaMART", "MatchScore", "Network", "Ranker", "TrainingRows", "features"]
