"""What several programs speak: the wire, the API models, errors. No I/O, except the clock."""
