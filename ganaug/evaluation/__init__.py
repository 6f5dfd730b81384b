"""Whether generated samples are good, and show only what the data show."""
