"""Real servers that the tests start on loopback, and a proxy that spoils their answers."""
