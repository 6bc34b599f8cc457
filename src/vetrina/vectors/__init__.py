"""Vectors of several modalities made one (fuse), and shorter (reduce): arrays in, arrays out."""

from vetrina.vectors.attention import Attention
from vetrina.vectors.base import Fuser, FuserConfig
from vetrina.vectors.concat import Concat
from vetrina.vectors.fuse import fuse
from vetrina.vectors.gated import Gated
from vetrina.vectors.learned import LearnedConfig, LearnedFuser
from vetrina.vectors.reduce import PCA, SVD, PCAConfig, RandomProjection, RandomProjectionConfig, Reducer, SVDConfig

__all__ = [
    "PCA",
    "SVD",
    "Attention",
    "Concat",
    "Fuser",
    "FuserConfig",
    "Gated",
    "LearnedConfig",
    "LearnedFuser",
    "PCAConfig",
    "RandomProjection",
    "RandomProjectionConfig",
    "Reducer",
    "SVDConfig",
    "fuse",
]
