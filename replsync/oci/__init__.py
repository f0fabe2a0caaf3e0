"""OCI's and Docker's vocabulary, pure: references, digests, image manifests, tombstones."""
