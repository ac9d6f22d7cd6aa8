"""What the tests stand on: the broker under test, the clients, and waiting with a deadline."""
