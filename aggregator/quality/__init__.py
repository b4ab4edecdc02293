"""Service qualities: which verdict asks for which change. Pure."""
