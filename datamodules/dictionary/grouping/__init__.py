"""Words -> groups of near words, by HDBSCAN or average linkage."""
