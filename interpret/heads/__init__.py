"""What single heads are for: who carries an attribute, is it so, and which carry a false cue."""
