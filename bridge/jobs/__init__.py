"""Jobs: their states, whose turn it is, and the process that paints them. Imports no torch."""
