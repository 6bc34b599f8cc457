"""Ranking: features of (window, query, candidate), and rankers that order candidates by them."""

from vetrina.rank import features
from vetrina.rank.base import Asked, Ranker, TrainingRows
from vetrina.rank.blend import Blend
from vetrina.rank.din import DIN
from vetrina.rank.examination import Examination, from_chance, from_regression
from vetrina.rank.features import FeatureFamily
from vetrina.rank.lambdamart import LambdaMART
from vetrina.rank.linear import Linear
from vetrina.rank.lstm import LSTM
from vetrina.rank.match_score import MatchScore
from vetrina.rank.network import Network
from vetrina.rank.pairwise import Pairwise
from vetrina.rank.pointwise import Pointwise

__all__ = [
    "DIN",
    "LSTM",
    "Asked",
    "Blend",
    "Examination",
    "FeatureFamily",
    "LambdaMART",
    "Linear",
    "MatchScore",
    "Network",
    "Pairwise",
    "Pointwise",
    "Ranker",
    "TrainingRows",
    "features",
    "from_chance",
    "from_regression",
]
