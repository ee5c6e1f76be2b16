"""Results as pages that a browser shows without a network: data in, one HTML file out."""
