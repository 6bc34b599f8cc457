"""shoppers."""
