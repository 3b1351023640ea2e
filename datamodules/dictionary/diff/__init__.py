"""What differs between two dictionaries."""
