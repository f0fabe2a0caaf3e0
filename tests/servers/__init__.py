"""Real servers for the tests, the programs that read them back, and images to put into them."""
