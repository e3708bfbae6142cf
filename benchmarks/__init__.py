"""How long things take, held against the same work done otherwise, in one alternating run on this machine's lab."""
