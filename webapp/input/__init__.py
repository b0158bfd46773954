"""Input: request bodies, forms, queries and headers, validated before they are used."""
