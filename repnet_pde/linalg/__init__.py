"""Linear least squares: dense, damped, condensed on patches, with an eliminated state. No DeepXDE in here."""
