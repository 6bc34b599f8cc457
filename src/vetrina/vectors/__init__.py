"""Vectors of several modalities made one (fuse), and shorter (reduce): arrays in, arrays out."""

from vetrina.vectors.fuse import fuse
from vetrina.vectors.reduce import PCA, PCAConfig

__all__ = ["PCA", "PCAConfig", "fuse"]
