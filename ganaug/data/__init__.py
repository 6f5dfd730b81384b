"""What comes in: what X looks like, codecs between arrays and [-1, 1], and sources."""
