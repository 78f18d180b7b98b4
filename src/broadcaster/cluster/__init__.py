"""How the nodes of one server hear each other."""
