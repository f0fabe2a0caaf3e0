"""The user's file `replicated-images.yaml`, pure: its model, its reading with positions, its JSON Schema."""
