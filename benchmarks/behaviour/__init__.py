"""What models of behaviour are worth: one module for each question, which yields tables.

Modules, tables and how they are run are those of :mod:`modalities`.
"""
