"""The benchmark program: servers, clients, what is measured, and the report."""
