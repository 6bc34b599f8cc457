"""Other libraries in the same run: each is given the same split and budget, and its ranked lists are read back."""
