"""The outside checker: reads the evidence, shares no code with the product, and needs nothing but Python."""
