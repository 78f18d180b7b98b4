"""Chat rooms in what has no example: the same as the examples, written for the plain interfaces."""
