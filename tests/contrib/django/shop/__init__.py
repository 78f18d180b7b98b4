"""An application of the project that the tests of Django share."""
