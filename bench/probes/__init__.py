"""Scripts that run the product of a checkout in one process; they import nothing but the product."""
