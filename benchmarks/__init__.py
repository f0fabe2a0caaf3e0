"""What replsync takes beside its peers, on registries of its own: `make bench`."""
