"""Linear least squares: dense, damped, condensed on subdomains, with an eliminated state. Independent of DeepXDE."""
