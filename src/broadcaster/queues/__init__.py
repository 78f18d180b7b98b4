"""The hand-off: what leaves the request at once, and is delivered by a worker."""
