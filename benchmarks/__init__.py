"""What broadcaster costs, beside the limit and its peers: `python -m benchmarks [--quick] [names...]`."""
