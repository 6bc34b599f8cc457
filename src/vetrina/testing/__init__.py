"""Contract suites: what every component must hold to, for those of Vetrina and for those of other packages.

One call checks a component against all rules of its kind, on a small shop made
for it or on data of your own:

>>> from vetrina.retrieve import Popular
>>> from vetrina.testing import check_retriever
>>> check_retriever(Popular)

A broken rule raises :class:`ContractBroken`, an ``AssertionError`` that names
the component, what was expected and what came instead. To see every rule as a
test of its own, parametrise over ``RETRIEVER_RULES`` (``FEATURE_RULES``, ...)
with one case per component; ``tests/test_components.py`` does that for all that
are registered. Nothing here needs pytest.
"""

from vetrina.testing.contract import Case, ContractBroken
from vetrina.testing.encoders import ENCODER_RULES, EncoderCase, check_encoder
from vetrina.testing.families import FEATURE_RULES, FeatureCase, check_features
from vetrina.testing.fusers import (
    FUSER_RULES,
    REDUCER_RULES,
    FuserCase,
    ReducerCase,
    check_fuser,
    check_reducer,
    sample_vectors,
)
from vetrina.testing.rankers import RANKER_RULES, RankerCase, check_ranker, sample_rows
from vetrina.testing.retrievers import RETRIEVER_RULES, RetrieverCase, check_retriever
from vetrina.testing.sample import sample_requests, small_shop

__all__ = [
    "ENCODER_RULES",
    "FEATURE_RULES",
    "FUSER_RULES",
    "RANKER_RULES",
    "REDUCER_RULES",
    "RETRIEVER_RULES",
    "Case",
    "ContractBroken",
    "EncoderCase",
    "FeatureCase",
    "FuserCase",
    "RankerCase",
    "ReducerCase",
    "RetrieverCase",
    "check_encoder",
    "check_features",
    "check_fuser",
    "check_ranker",
    "check_reducer",
    "check_retriever",
    "sample_requests",
    "sample_rows",
    "sample_vectors",
    "small_shop",
]
