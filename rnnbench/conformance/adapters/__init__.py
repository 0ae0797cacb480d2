"""One module a framework; each imports it lazily."""
