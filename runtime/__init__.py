"""Search on a CPU without torch: read an image, encode it, keep a gallery, search it."""
