"""HTTP over `sentiment`."""
