"""Input: request bodies, forms, queries and headers, validated before anything else sees them."""
