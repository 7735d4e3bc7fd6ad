"""What the methods on subdomains are made of: the partition, its points, rows and continuity conditions."""
