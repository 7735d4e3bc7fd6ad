"""What the methods on space-time slabs are made of: one slab, its length, length scales, the second solution."""
