"""Is a generator any good, and are its samples copies: measures beside those of real samples, and words."""
