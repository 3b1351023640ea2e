"""Words, files and images on disk -> attribute-filtered splits."""
