"""Where labelled reviews come from: each module turns one form into a ``Corpus``."""
