"""A user's own copy of WordNet, as features of words and as running text."""
