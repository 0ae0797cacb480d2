"""Golden cases, tolerances, adapters for other frameworks."""
