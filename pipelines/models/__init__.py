"""Models: each module has one, called as Model(input_shape, outputs, **options)."""
