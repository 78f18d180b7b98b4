"""What every implementation of a seam must do: suites of tests to subclass; they need pytest."""
