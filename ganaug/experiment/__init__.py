"""Does it help? Arms, paired runs, intervals, and the record of them."""
