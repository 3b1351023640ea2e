"""Words as data sets write them: mentions, phrases, a counted vocabulary, rows of features."""
