"""Words -> types: seed words, lexical rules and likeness, with the right to abstain."""
