"""Where users, shared secrets and token keys come from."""
