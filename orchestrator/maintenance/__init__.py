"""Care of a store: verifying it, removing what is not needed, forgetting samples, copying."""
