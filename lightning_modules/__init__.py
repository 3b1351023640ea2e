"""One model being trained: a backbone, its adapters, and the deltas they leave on disk."""
