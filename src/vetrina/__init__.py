"""Vetrina."""
