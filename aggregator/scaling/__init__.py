"""How many game servers there should be, and which go first: decided exactly, by pure functions."""
