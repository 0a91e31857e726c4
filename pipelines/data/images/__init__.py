"""From image files to the numbers that a model takes.

`image_options` says to which size and channels, `image_sources` where the bytes of an image are, `class_folders` which
files a folder has, `decode_images` decodes them in threads, and `image_cache` keeps what was decoded. Datasets and
features import these modules.
"""
