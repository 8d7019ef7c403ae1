"""Links: what makes a tier's distance real. Knows addresses and bytes, nothing of gateways or engines."""
