"""Operating the gateway: what it measures of itself."""
